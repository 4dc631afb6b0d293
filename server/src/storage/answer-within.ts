import type pg from 'pg';

/**
 * How much longer than its own limit a statement may stay unanswered. The server ends statements in time by itself, but on Citus a
 * session that holds a connection to a frozen node hangs on it without looking at its limits.
 */
const graceMs = 1_000;

/** For `answerWithin`; 0 = for ever, as the server's limit. */
export const answerLimitMs = (statementTimeoutMs: number): number =>
  statementTimeoutMs === 0 ? 0 : statementTimeoutMs + graceMs;

/** Waits for the answer to what was sent over the connection. One that does not come in time ends the connection: it counts as lost. */
export async function answerWithin<T>(client: pg.ClientBase, limitMs: number, answer: Promise<T>): Promise<T> {
  if (limitMs === 0) return answer;
  const timer = setTimeout(() => breakOff(client), limitMs);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}

/** Ends the connection without a word to the server: whoever waits for it sees that it is lost. */
export const breakOff = (client: pg.ClientBase): void => {
  (client as pg.ClientBase & { readonly connection: pg.Connection }).connection.stream.destroy();
};
