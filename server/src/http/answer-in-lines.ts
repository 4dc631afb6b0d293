import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { drain } from './error-answers.ts';
import { failureOf, httpError, problemOf } from './failure.ts';
import type { HttpDeps } from './http-types.ts';
import { createOutcomeSpool, type OutcomeSpool } from './outcome-spool.ts';
import { pathOf } from './requests.ts';

export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** What a bulk request needs while it writes the parts of its body. */
export interface Writing {
  /** Takes the lines of the answer. */
  readonly spool: OutcomeSpool;
  /** To be aborted when the rest of the body is not wanted. */
  readonly stopping: AbortController;
  /** To be asked before each part. @throws DomainError when the client is gone, the server is being stopped, or the key is no longer in force */
  confirm(): Promise<void>;
  /** A part is stored and told of. @param counted what is stored so far, for the log */
  onPart(counted: object): void;
}

/**
 * Answers with a stream of lines, which begins when the first part (behind a proxy: the last) is stored, while the body is still
 * being read.
 * @param write stores the parts of the body. @returns the summary, the last line
 */
export async function answerInLines(
  deps: HttpDeps,
  exchange: Exchange,
  write: (writing: Writing) => Promise<object>,
): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const { app } = deps;
  const spool = createOutcomeSpool({ limitBytes: app.config.http.spoolLimitBytes });
  const stopping = new AbortController();
  let counted: object | null = null;
  // A proxy such as nginx passes on no more of a body once the answer begins: it is answered when everything is stored.
  const answersWhenStored = request.headers.via !== undefined;
  await new Promise<void>((resolve, reject) => {
    const onPart = (sums: object): void => {
      counted = { ...sums };
      if (!answersWhenStored) resolve();
    };
    write({ spool, stopping, confirm: () => mayGoOn(deps, exchange), onPart }).then(
      (summary) => {
        spool.end(`${JSON.stringify({ summary })}\n`);
        resolve();
      },
      (error: unknown) => {
        stopping.abort();
        // Before the first part is stored the status can still tell of the failure; afterwards a last line does.
        if (counted === null) return reject(error);
        spool.end(errorLine(error, request), endOf(exchange));
        resolve();
        const { code } = failureOf(error);
        app.logger.warn({ err: error, request_id: request.id, code, rows: counted }, 'a bulk request ended early');
      },
    );
  });
  return send(reply, spool);
}

async function send(reply: FastifyReply, spool: OutcomeSpool): Promise<FastifyReply> {
  if (reply.raw.destroyed) {
    // Nobody reads. A reader that never began would not close the spool's file.
    for await (const _ of spool.read()) break;
    return reply.hijack();
  }
  // Without this a client that leaves while nothing is to be told would keep its spool.
  reply.raw.once('close', () => spool.end(''));
  return reply
    .type('application/x-ndjson')
    .send(Readable.from(spool.read(), { objectMode: false, highWaterMark: 64 * 1024 }));
}

async function mayGoOn({ isClosing }: HttpDeps, { request, reply }: Exchange): Promise<void> {
  if (reply.raw.destroyed) throw httpError('malformed_request', 'The client is gone.');
  if (isClosing()) throw httpError('shutting_down', 'The server is being stopped. Send the whole request again.');
  await request.caller.confirm();
}

const errorLine = (error: unknown, { id, raw }: FastifyRequest): string =>
  `${JSON.stringify({ error: problemOf(failureOf(error), { id, path: pathOf(raw.url) }) })}\n`;

/** Reads on for a moment, so that the last line arrives; whoever still sends then is cut off. */
async function endOf({ request: { raw }, reply }: Exchange): Promise<void> {
  reply.raw.once('finish', () => {
    if (!raw.complete) raw.socket.destroySoon();
  });
  await drain(raw);
}
