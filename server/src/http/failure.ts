import { DomainError, type FieldError, InvalidInputError } from '../core/errors.ts';
import { StorageError } from '../storage/faults.ts';
import { type HttpErrorCode, isProblemCode, type Problem, type ProblemCode, problemTypeOf } from './problems.ts';

/** What went wrong, in terms of problems. */
export interface Failure {
  readonly code: ProblemCode;
  /** For the client. */
  readonly detail: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly errors: readonly FieldError[] | null;
}

/** An error of HTTP itself, e.g. a cursor of another query. */
export const httpError = (
  code: HttpErrorCode,
  detail: string,
  facts: Readonly<Record<string, unknown>> = {},
): DomainError<HttpErrorCode> => new DomainError<HttpErrorCode>(code, detail, facts);

/** Says which problem an error is. An error nobody planned for is `internal_error`, and its words stay in the log. */
export function failureOf(error: unknown): Failure {
  if (error instanceof InvalidInputError) return ofInvalidInput(error);
  if (error instanceof DomainError && isProblemCode(error.code)) return failure(error.code, error.message, error.facts);
  if (error instanceof StorageError) return failure(error.code, error.message);
  return ofFramework(error);
}

function failure(code: ProblemCode, detail: string, facts: Failure['facts'] = {}): Failure {
  const { secret, help } = problemTypeOf(code);
  return { code, detail: secret === true ? help : detail, facts, errors: null };
}

// An amount beyond 2^53 - 1 is a valid document that a rule refuses (design: money), so it is 422 and not 400.
const isTooLargeAmount = ({ code, pointer }: FieldError): boolean =>
  code === 'too_large' || (code === 'too_big' && /\/(unit_)?price$/.test(pointer));

function ofInvalidInput({ errors, message }: InvalidInputError): Failure {
  const code = errors.length > 0 && errors.every(isTooLargeAmount) ? 'amount_too_large' : 'invalid_input';
  return { code, detail: message.length > 500 ? `${message.slice(0, 499)}…` : message, facts: {}, errors };
}

const frameworkCodes: Readonly<Record<string, readonly [HttpErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['body_too_large', 'The body is larger than this server takes.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported_media_type', 'This call does not take this Content-Type.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed_request', 'The body has another length than Content-Length says.'],
  FST_ERR_BAD_URL: ['malformed_url', 'The path holds an invalid percent-encoding.'],
  FST_ERR_MAX_PARAM_LENGTH: ['malformed_url', 'A part of the path is too long.'],
  ECONNRESET: ['malformed_request', 'The connection ended before the request did.'],
  ERR_STREAM_PREMATURE_CLOSE: ['malformed_request', 'The connection ended before the request did.'],
};

function ofFramework(error: unknown): Failure {
  if (!(error instanceof Error)) return failure('internal_error', '');
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = frameworkCodes[code];
  if (known !== undefined) return failure(known[0], known[1]);
  if (code.startsWith('Z_')) return failure('malformed_gzip', 'The body is not valid gzip.');
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  return code.startsWith('FST_ERR_') && status < 500
    ? failure('malformed_request', 'The request cannot be read.')
    : failure('internal_error', '');
}

/** The document that tells a client of a failure. */
export function problemOf(failure: Failure, request: { readonly id: string; readonly path: string }): Problem {
  const { status, title } = problemTypeOf(failure.code);
  return {
    ...failure.facts,
    type: `/problems/${failure.code}`,
    title,
    status,
    code: failure.code,
    detail: failure.detail,
    request_id: request.id,
    instance: request.path,
    ...(failure.errors === null ? {} : { errors: failure.errors }),
  };
}

const tokenLike = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/gi;

/**
 * A problem as it is sent. What looks like a ticket's token is not repeated by answers of the tickets' paths, wherever the client
 * put it (a path, a field's name): answers end in logs of clients and proxies.
 */
export function problemText(problem: Problem): string {
  const text = JSON.stringify(problem);
  if (!problem.instance.startsWith('/api/v1/tickets')) return text;
  return text.replace(tokenLike, (found) => (found === problem.request_id ? found : '(token)'));
}
