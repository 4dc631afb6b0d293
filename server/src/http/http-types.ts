import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import type { App } from '../app.ts';
import type { Scope } from '../domains/access/api-key.ts';
import type { Authenticate, Caller } from './authenticate.ts';
import type { Metrics } from './metrics.ts';
import type { ProblemCode } from './problems.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a key must allow; every route under /api/v1 says it. */
    scope?: Scope;
    /** Answers without a key in every mode, and says so. */
    public?: true;
    /** Which problems the call answers beside those of every call: for the documentation. */
    problems?: readonly ProblemCode[];
    /** The body or the answer is a stream: it may take as long as it makes progress. */
    streams?: boolean;
    /** For the documentation of streams, by media type. */
    streamedBody?: Readonly<Record<string, z.ZodType>>;
    streamedAnswer?: Readonly<Record<string, z.ZodType>>;
    /** Answered while the server is being stopped, too. */
    whileDraining?: boolean;
  }
  interface FastifyRequest {
    /** Set by authentication, on every route under /api/v1. */
    caller: Caller;
  }
}

/** A Fastify whose routes take their types from zod schemas. */
export type Routes = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** What routes work with. */
export interface HttpDeps {
  readonly app: App;
  readonly authenticate: Authenticate;
  readonly metrics: Metrics;
  /** True once the server is being stopped: it is not ready any more, though requests are still answered. */
  readonly isDraining: () => boolean;
  /** True at the end of that: new requests are refused, and long ones end at the next point where they can. */
  readonly isClosing: () => boolean;
}
