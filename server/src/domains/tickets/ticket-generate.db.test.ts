import { beforeEach, describe, expect, test } from 'vitest';
import { InvalidInputError } from '../../core/errors.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { createTestJobs, noThrottle } from '../../testing/test-jobs.ts';
import { clearTickets, cutOff, openTestTickets, ticketInconsistencies } from '../../testing/test-tickets.ts';
import { createTicketGenerateKind } from './ticket-generate-jobs.ts';
import { generatedTicket } from './ticket-generator.ts';

const { db, clock } = await openTestTickets();
const jobs = createTestJobs(db, { kinds: [createTicketGenerateKind(clock)] });
const start = async (parameters: object) =>
  (await jobs.start('tickets.generate', parameters, { actor: 'test', throttle: noThrottle })).run;
const seats = async () =>
  (
    await db.query(
      dynamic<{ holder: string; event: string; seat: string }>(sql`select holder, event, seat from tickets`),
    )
  )
    .map((row) => JSON.stringify(row))
    .sort();

beforeEach(() => clearTickets(db));

describe('tickets.generate', () => {
  test('makes each ticket once with its token, whatever stops it on the way', async () => {
    const { runId } = await start({ count: 5_000, events: 7, holders: 300 });
    for (let stops = 0; ; stops++) {
      const stop = new AbortController();
      const onProgress = () => (stops < 3 ? stop.abort() : undefined);
      const run = await jobs.runHere(runId, { signal: stop.signal, whenStopped: 'pause', onProgress });
      if (run.state === 'done') {
        expect(run).toMatchObject({
          doneRows: 5_000,
          counts: { created: 5_000 },
          result: { tickets: 5_000, events: 7, holders: 300 },
        });
        break;
      }
      expect(run.state).toBe('paused');
      await jobs.resume(runId, 'test');
    }
    const expected = Array.from({ length: 5_000 }, (_, i) => generatedTicket(i + 1, { events: 7, holders: 300 }));
    expect(await seats()).toEqual(
      expected.map(({ holder, event, seat }) => JSON.stringify({ holder, event, seat })).sort(),
    );
    expect(await ticketInconsistencies(db)).toEqual([]);
  });

  test('divides a large run over two connections and leaves nothing out between them', async () => {
    const { runId } = await start({ count: 20_001, events: 3 });
    const run = await jobs.runHere(runId, { signal: new AbortController().signal, whenStopped: 'pause' });
    expect(run).toMatchObject({ state: 'done', counts: { created: 20_001 } });
    const [row] = await db.query(
      dynamic(
        sql`select count(*)::int as tickets, count(distinct (event, seat))::int as seats, count(distinct holder)::int as holders from tickets`,
      ),
    );
    expect(row).toMatchObject({ tickets: 20_001, seats: 20_001 });
    expect(await ticketInconsistencies(db)).toEqual([]);
  });

  test('gives tokens of the generation that is current when each ticket is made', async () => {
    const generation = await cutOff(db, { event: 'EVENT0002' });
    const { runId } = await start({ count: 10, events: 2 });
    await jobs.runHere(runId, { signal: new AbortController().signal, whenStopped: 'pause' });
    const rows = await db.query(
      dynamic(
        sql`select t.event, k.generation, count(*)::int as n from tickets t join ticket_tokens k using (bucket, ticket_id) group by 1, 2 order by 1`,
      ),
    );
    expect(rows).toEqual([
      { event: 'EVENT0001', generation: 1, n: 5 },
      { event: 'EVENT0002', generation, n: 5 },
    ]);
  });

  test.each([{}, { count: 0 }, { count: 1.5 }, { count: 10, events: 0 }, { count: 10, color: 'red' }])(
    'refuses the parameters %j',
    async (parameters) => {
      await expect(start(parameters)).rejects.toBeInstanceOf(InvalidInputError);
    },
  );
});
