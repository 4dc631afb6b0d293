import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Instant, minuteMs } from '../../core/time.ts';
import {
  type ImportedStatus,
  type Judgement,
  judgeEvent,
  missingRows,
  nextStatuses,
  type OrderStatus,
  orderStatuses,
  type StatusEvent,
  type StatusRow,
  type StatusState,
  stateOf,
} from './order-status.ts';

const at = (ms: number) => ms as Instant;
const placedAt = at(1_750_000_000_000);
const pending: StatusRow = {
  seq: 1,
  status: 'pending',
  occurredAt: placedAt,
  recordedAt: placedAt,
  reason: null,
  actor: 'test',
  eventKey: null,
};
const event = (status: OrderStatus, more: Partial<StatusEvent> = {}): StatusEvent => ({
  status,
  reason: null,
  occurredAt: null,
  eventKey: null,
  expectedVersion: null,
  ...more,
});
const judge = (
  state: StatusState,
  reported: StatusEvent,
  { now = placedAt + 1_000, known = null }: Circumstances = {},
) => judgeEvent(state, reported, { now: at(now), actor: 'test', known });
interface Circumstances {
  readonly now?: number;
  readonly known?: StatusRow | null;
}
const fresh = stateOf([pending]);
const complete: StatusState = {
  status: 'complete',
  statusAt: at(placedAt + 500),
  statusSeq: 2,
  reason: null,
  lastSeq: 2,
};
const cancelled: StatusState = { ...complete, status: 'cancelled', reason: 'refund' };

describe('the table of moves', () => {
  const reachable = (from: OrderStatus, seen = new Set<OrderStatus>([from])): Set<OrderStatus> => {
    for (const next of nextStatuses[from]) if (!seen.has(next)) reachable(next, seen.add(next));
    return seen;
  };

  test('reaches every status from pending, and nothing from cancelled', () => {
    expect([...reachable('pending')].sort()).toEqual([...orderStatuses].sort());
    expect(nextStatuses.cancelled).toEqual([]);
  });

  test('has no way back', () => {
    for (const from of orderStatuses)
      for (const next of nextStatuses[from]) expect(reachable(next)).not.toContain(from);
  });

  test.each(orderStatuses.flatMap((from) => orderStatuses.map((to) => [from, to] as const)))('%s -> %s', (from, to) => {
    const state = { pending: fresh, complete, cancelled }[from];
    const { kind } = judge(state, event(to, { reason: 'because' }));
    const isLegal = (nextStatuses[from] as readonly OrderStatus[]).includes(to);
    expect(kind).toBe(from === to ? 'unchanged' : isLegal ? 'recorded' : 'refused');
  });
});

describe('judgeEvent', () => {
  test('writes a legal move as the next row of the history', () => {
    expect(judge(fresh, event('complete'))).toEqual({
      kind: 'recorded',
      row: { ...pending, seq: 2, status: 'complete', occurredAt: placedAt + 1_000, recordedAt: placedAt + 1_000 },
      state: { status: 'complete', statusAt: placedAt + 1_000, statusSeq: 2, reason: null, lastSeq: 2 },
    });
  });

  test('lets an event without a time happen with the current status where that is later', () => {
    const ahead = { ...fresh, statusAt: at(placedAt + 9_000) };
    expect(judge(ahead, event('complete'), { now: placedAt })).toMatchObject({
      kind: 'recorded',
      row: { occurredAt: placedAt + 9_000 },
    });
  });

  test('records what is older than the status as late, whatever it says, and changes only lastSeq', () => {
    for (const status of orderStatuses) {
      const judgement = judge(cancelled, event(status, { occurredAt: at(placedAt + 499) }));
      expect(judgement).toMatchObject({ kind: 'late', row: { seq: 3, status }, state: { ...cancelled, lastSeq: 3 } });
    }
  });

  test('judges a tie on the millisecond as a move, not as late', () => {
    expect(judge(fresh, event('complete', { occurredAt: placedAt }))).toMatchObject({
      kind: 'recorded',
      state: { statusSeq: 2 },
    });
    expect(judge(cancelled, event('complete', { occurredAt: cancelled.statusAt }))).toEqual({
      kind: 'refused',
      code: 'status_conflict',
    });
  });

  test('asks for a reason when a complete order is cancelled, and only then', () => {
    expect(judge(complete, event('cancelled'))).toEqual({ kind: 'refused', code: 'reason_required' });
    expect(judge(complete, event('cancelled', { reason: 'refund' }))).toMatchObject({
      kind: 'recorded',
      state: { reason: 'refund' },
    });
    expect(judge(fresh, event('cancelled'))).toMatchObject({ kind: 'recorded' });
  });

  test('takes 5 minutes of the future, not a millisecond more', () => {
    const limit = placedAt + 5 * minuteMs;
    expect(judge(fresh, event('complete', { occurredAt: at(limit) }), { now: placedAt }).kind).toBe('recorded');
    expect(judge(fresh, event('complete', { occurredAt: at(limit + 1) }), { now: placedAt })).toEqual({
      kind: 'refused',
      code: 'occurred_at_in_future',
    });
  });

  test('knows a replay by its event key before anything else', () => {
    const known = { ...pending, seq: 2, status: 'complete' as const, eventKey: 'k' };
    const replay = event('complete', { eventKey: 'k', occurredAt: placedAt, expectedVersion: 99 });
    expect(judge(cancelled, replay, { now: 0, known })).toEqual({ kind: 'replayed', row: known });
    expect(judge(cancelled, { ...replay, occurredAt: null }, { now: 0, known })).toEqual({
      kind: 'replayed',
      row: known,
    });
    for (const other of [{ status: 'cancelled' as const }, { reason: 'x' }, { occurredAt: at(placedAt + 1) }]) {
      expect(judge(cancelled, { ...replay, ...other }, { now: 0, known })).toEqual({
        kind: 'refused',
        code: 'event_key_reused',
      });
    }
  });

  test('refuses another version than the expected one, also where nothing would change', () => {
    expect(judge(complete, event('complete', { expectedVersion: 1 }))).toEqual({
      kind: 'refused',
      code: 'version_mismatch',
    });
    expect(judge(complete, event('complete', { expectedVersion: 2 }))).toEqual({ kind: 'unchanged' });
  });
});

/** The oracle: keeps the whole history, looks the winner up in it each time, and follows design.md section 2 line by line. */
function createOracle() {
  const history: StatusRow[] = [pending];
  const winner = () => [...history].sort((a, b) => a.occurredAt - b.occurredAt || a.seq - b.seq).at(-1) as StatusRow;
  const legal = ['pending>complete', 'pending>cancelled', 'complete>cancelled'];
  return {
    history,
    winner,
    report(reported: StatusEvent, now: number): { kind: Judgement['kind']; code?: string } {
      const known =
        reported.eventKey === null ? undefined : history.find(({ eventKey }) => eventKey === reported.eventKey);
      if (known !== undefined) {
        const same =
          known.status === reported.status &&
          known.reason === reported.reason &&
          (reported.occurredAt === null || known.occurredAt === reported.occurredAt);
        return same ? { kind: 'replayed' } : { kind: 'refused', code: 'event_key_reused' };
      }
      if (reported.expectedVersion !== null && reported.expectedVersion !== history.length) {
        return { kind: 'refused', code: 'version_mismatch' };
      }
      if (reported.occurredAt !== null && reported.occurredAt - now > 300_000)
        return { kind: 'refused', code: 'occurred_at_in_future' };
      const current = winner();
      const occurredAt = reported.occurredAt ?? at(Math.max(now, current.occurredAt));
      const write = (kind: 'recorded' | 'late') => {
        const { status, reason, eventKey } = reported;
        history.push({
          seq: history.length + 1,
          status,
          occurredAt,
          recordedAt: at(now),
          reason,
          actor: 'test',
          eventKey,
        });
        return { kind };
      };
      if (occurredAt < current.occurredAt) return write('late');
      if (reported.status === current.status) return { kind: 'unchanged' };
      if (!legal.includes(`${current.status}>${reported.status}`)) return { kind: 'refused', code: 'status_conflict' };
      if (current.status === 'complete' && reported.reason === null)
        return { kind: 'refused', code: 'reason_required' };
      return write('recorded');
    },
  };
}

// Few instants and few keys, so that ties, late events and replays are common; time goes forward and back between reports.
const reports = fc.array(
  fc.record({
    event: fc.record<StatusEvent>({
      status: fc.constantFrom(...orderStatuses),
      reason: fc.option(fc.constantFrom('a', 'b'), { freq: 3 }),
      occurredAt: fc.option(
        fc.integer({ min: -3, max: 6 }).map((step) => at(placedAt + step)),
        { freq: 4 },
      ),
      eventKey: fc.option(fc.constantFrom('k1', 'k2', 'k3')),
      expectedVersion: fc.option(fc.integer({ min: 1, max: 5 }), { freq: 2 }),
    }),
    now: fc.oneof(fc.integer({ min: -3, max: 6 }), fc.constant(-5 * minuteMs)).map((step) => placedAt + step),
  }),
  { maxLength: 30 },
);

describe('any sequence of reports', () => {
  test('is judged as the oracle judges it, which keeps the full history', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(reports, (sequence) => {
        const oracle = createOracle();
        let state = stateOf([pending]);
        const history = [pending];
        for (const { event: reported, now } of sequence) {
          const known = history.find(({ eventKey }) => eventKey !== null && eventKey === reported.eventKey) ?? null;
          const judgement = judge(state, reported, { now, known });
          const expected = oracle.report(reported, now);
          expect(judgement).toMatchObject(expected);
          seen.add(judgement.kind === 'refused' ? judgement.code : judgement.kind);
          if (judgement.kind === 'recorded' || judgement.kind === 'late') {
            history.push(judgement.row);
            ({ state } = judgement);
          }
          expect(history).toEqual(oracle.history);
          // The state that is carried along is what the log says, looked at anew.
          expect(state).toEqual(stateOf(history));
          expect(state.statusSeq).toBe(oracle.winner().seq);
          expect(state.lastSeq).toBe(history.length);
        }
      }),
      { numRuns: 1_000 },
    );
    expect([...seen].sort()).toEqual([
      'event_key_reused',
      'late',
      'occurred_at_in_future',
      'reason_required',
      'recorded',
      'replayed',
      'status_conflict',
      'unchanged',
      'version_mismatch',
    ]);
  });

  test('changes nothing when all of it is sent again with its keys', () => {
    fc.assert(
      fc.property(reports, (sequence) => {
        const oracle = createOracle();
        const keyed = sequence.map((report, i) => ({
          ...report,
          event: { ...report.event, eventKey: `k${i}`, expectedVersion: null },
        }));
        const written = keyed.filter(({ event: reported, now }) =>
          ['recorded', 'late'].includes(oracle.report(reported, now).kind),
        );
        const before = [...oracle.history];
        for (const { event: reported } of written) {
          const known = before.find(({ eventKey }) => eventKey === reported.eventKey) as StatusRow;
          expect(judge(stateOf(before), reported, { now: placedAt, known }).kind).toBe('replayed');
        }
      }),
    );
  });
});

describe('stateOf', () => {
  test('refuses an empty history', () => {
    expect(() => stateOf([])).toThrow(RangeError);
  });

  test('decides by (occurredAt, seq), in whatever order the rows are given', () => {
    const rows = fc.uniqueArray(
      fc.record({
        seq: fc.integer({ min: 1, max: 40 }),
        step: fc.integer({ min: 0, max: 4 }),
        status: fc.constantFrom(...orderStatuses),
      }),
      { minLength: 1, selector: ({ seq }) => seq },
    );
    fc.assert(
      fc.property(
        rows.chain((drawn) => fc.tuple(fc.constant(drawn), fc.shuffledSubarray(drawn, { minLength: drawn.length }))),
        ([drawn, shuffled]) => {
          const history = (list: typeof drawn) =>
            list.map(
              ({ seq, step, status }): StatusRow => ({
                ...pending,
                seq,
                status,
                occurredAt: at(placedAt + step),
                reason: `${seq}`,
              }),
            );
          const state = stateOf(history(shuffled));
          expect(state).toEqual(stateOf(history(drawn)));
          const latest = Math.max(...drawn.map(({ step }) => step));
          const winnerSeq = Math.max(...drawn.filter(({ step }) => step === latest).map(({ seq }) => seq));
          expect(state).toMatchObject({ statusSeq: winnerSeq, reason: `${winnerSeq}`, statusAt: placedAt + latest });
          expect(state.lastSeq).toBe(Math.max(...drawn.map(({ seq }) => seq)));
        },
      ),
    );
  });
});

describe('missingRows', () => {
  const context = { now: placedAt, actor: 'import' };
  const imported = fc.record<ImportedStatus>({
    status: fc.constantFrom(...orderStatuses),
    occurredAt: fc.integer({ min: 0, max: 5 }).map((step) => at(placedAt + step)),
    reason: fc.option(fc.constant('r')),
    eventKey: fc.option(fc.constantFrom('k1', 'k2', 'k3')),
  });
  const merged = (...parts: (readonly ImportedStatus[])[]) =>
    parts.reduce((history: StatusRow[], part) => history.concat(missingRows(history, part, context)), [pending]);

  test('finds nothing missing the second time', () => {
    fc.assert(
      fc.property(fc.array(imported), fc.array(imported), (first, second) => {
        const history = merged(first, second);
        expect(missingRows(history, first, context)).toEqual([]);
        expect(missingRows(history, second, context)).toEqual([]);
        expect(history.map(({ seq }) => seq)).toEqual(history.map((_, i) => i + 1));
      }),
    );
  });

  test('gives the same whether a history comes in one piece or in many', () => {
    fc.assert(
      fc.property(fc.array(imported), fc.nat(20), (rows, cut) => {
        expect(merged(rows.slice(0, cut), rows.slice(cut))).toEqual(merged(rows));
      }),
    );
  });

  test('lets the newest row decide in whatever order histories arrive, where no two rows share an instant', () => {
    const distinct = fc.uniqueArray(imported, { selector: ({ occurredAt }) => occurredAt }).map((rows) =>
      rows.map((row, i) => ({
        ...row,
        occurredAt: at(row.occurredAt + 1),
        eventKey: row.eventKey === null ? null : `k${i}`,
      })),
    );
    fc.assert(
      fc.property(distinct, fc.nat(6), fc.boolean(), (rows, cut, swapped) => {
        const parts = [rows.slice(0, cut), rows.slice(cut)];
        const { statusSeq: _, ...one } = stateOf(merged(...parts));
        const { statusSeq: __, ...other } = stateOf(
          merged(...(swapped ? [...parts].reverse() : [[...rows].reverse()])),
        );
        expect(other).toEqual(one);
      }),
    );
  });

  test('knows a row by its key, else by instant and status', () => {
    const keyed: ImportedStatus = { status: 'complete', occurredAt: at(placedAt + 1), reason: null, eventKey: 'k' };
    const history = merged([keyed]);
    expect(missingRows(history, [{ ...keyed, occurredAt: at(placedAt + 7), reason: 'other' }], context)).toEqual([]);
    expect(missingRows(history, [{ ...keyed, eventKey: null, reason: 'other' }], context)).toEqual([]);
    expect(missingRows(history, [{ ...keyed, eventKey: 'other' }], context)).toHaveLength(1);
    expect(missingRows(history, [{ ...keyed, eventKey: null, occurredAt: at(placedAt + 2) }], context)).toHaveLength(1);
  });
});
