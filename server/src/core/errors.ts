/** Facts about an error that are safe to show to a client: ids, limits, names. Never secrets, SQL or stack traces. */
export type Facts = Readonly<Record<string, unknown>>;

/** One fault inside a document: where it is (RFC 6901 pointer), a stable code and a sentence. */
export interface FieldError {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

/**
 * A rule of the domain refused the request. `code` is stable and machine-readable; `message` is written for the client;
 * HTTP knows the status that belongs to a code, the domain does not.
 */
export class DomainError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly facts: Facts;

  constructor(code: Code, message: string, facts: Facts = {}) {
    super(message);
    this.name = 'DomainError';
    this.code = code;
    this.facts = facts;
  }
}

/** Input that is not a valid document: every fault found, each with its pointer. */
export class InvalidInputError extends DomainError<'invalid_input'> {
  readonly errors: readonly FieldError[];

  constructor(errors: readonly FieldError[]) {
    super('invalid_input', errors.map((e) => `${e.pointer || '(document)'}: ${e.detail}`).join('; '));
    this.name = 'InvalidInputError';
    this.errors = errors;
  }
}
