import { beforeAll, expect, test } from 'vitest';
import type { TicketId, TicketToken } from '../../core/ids.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { shardPlans, tableOfShard } from '../../testing/shard-plans.ts';
import { cutOff } from '../../testing/test-tickets.ts';
import { ticketByToken, tokensOfTicket } from './ticket-tokens-queries.ts';
import { ticketById, ticketsPage } from './tickets-queries.ts';

const { db } = await openTestDatabase({ statementTimeoutMs: 60_000 });

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

type Explained = { readonly 'QUERY PLAN': readonly [{ readonly Plan: PlanNode }] };

/** The plan of a statement as the read connections run it: the one that serves all values. On Citus one for these values a shard. */
async function plansOf({ text, values }: Statement<unknown>): Promise<PlanNode[]> {
  const explain = 'explain (analyze, timing off, format json)';
  return db.session(async (session) => {
    if (onCitus) {
      await session.script('set citus.explain_all_tasks = on');
      return shardPlans(await session.run<Explained>({ text: `${explain} ${text}`, values }));
    }
    // As in storage/read-clients.ts.
    await session.script(
      'set plan_cache_mode = force_generic_plan; set enable_sort = off; set enable_bitmapscan = off',
    );
    await session.script(`prepare p as ${text}`);
    const list = values.map((value) => `'${String(value).replaceAll("'", "''")}'`).join(', ');
    const explained = await session.run<Explained>({ text: `${explain} execute p(${list})`, values: [] });
    return explained.map((row) => row['QUERY PLAN'][0].Plan);
  });
}

/** The scans that are run, of each shard that is asked; one machine counts as one. */
async function scansOf(statement: Statement<unknown>): Promise<PlanNode[][]> {
  const flat = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flat)];
  // The generations are a handful of rows.
  const ofTickets = (name: string | undefined) => name !== undefined && !name.startsWith('token_generations');
  const plans = await plansOf(statement);
  return plans.map((plan) => flat(plan).filter((node) => ofTickets(node['Relation Name'])));
}

let some: { id: TicketId; token: TicketToken };
beforeAll(async () => {
  // 500 holders; nineteen of twenty tickets are of one event.
  await db.query(
    dynamic(sql`insert into tickets (ticket_id, bucket, holder, event, created_at)
      select (lpad(to_hex(1750000000000 + g), 12, '0') || '7' || lpad(to_hex(bucket_of('H' || g % 500)::int), 3, '0') || '8' || lpad(to_hex(g), 15, '0'))::uuid,
             bucket_of('H' || g % 500), 'H' || g % 500, 'E' || case when g % 20 = 0 then 1 else 0 end, now() from generate_series(1, 20000) g`),
  );
  for (const event of ['all', null, 'E1', null]) {
    // A first generation, then three rotations: as many partitions as there ever are.
    const generation = event === 'all' ? 1 : await cutOff(db, { event });
    await db.query(
      dynamic(sql`insert into ticket_tokens select ticket_id, bucket, ${generation}, new_ticket_token(bucket) from tickets
        where ${event}::text is null or ${event} in ('all', event)`),
    );
  }
  await db.query(
    dynamic(sql`create table ticket_tokens_300000 partition of ticket_tokens for values from (300000) to (400000)`),
  );
  await db.query(dynamic(sql`analyze tickets, ticket_tokens`));
  const [row] = await db.query(
    dynamic<typeof some>(
      sql`select ticket_id as id, token from ticket_tokens order by generation desc, ticket_id desc limit 1`,
    ),
  );
  if (row === undefined) throw new Error('no ticket');
  some = row;
});

test.each<[string, () => Statement<unknown>, number]>([
  ['a token is verified', () => ticketByToken(some.token), 2],
  ["a ticket's token is read", () => tokensOfTicket(some.id), 6],
  ['a ticket is read', () => ticketById(some.id), 1],
  [
    'a page of a large event',
    () => ticketsPage({ event: 'E0', holder: null }, { direction: 'newest', after: some.id }, 51),
    51,
  ],
  [
    'a page of a small event',
    () => ticketsPage({ event: 'E1', holder: null }, { direction: 'oldest', after: null }, 51),
    51,
  ],
  [
    'a page of a holder',
    () => ticketsPage({ event: null, holder: 'H7' }, { direction: 'newest', after: null }, 51),
    51,
  ],
])('%s by indexes, touching only what it answers', async (_name, statement, most) => {
  const shards = await scansOf(statement());
  expect(shards.length).toBeGreaterThan(0);
  for (const scans of shards) {
    const touched = scans.reduce(
      (sum, node) => sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
      0,
    );
    expect(touched).toBeGreaterThan(0);
    expect(touched).toBeLessThanOrEqual(most);
    // A partition without rows may be read as a whole: that is nothing.
    expect(scans.filter((node) => node['Node Type'] === 'Seq Scan' && node['Actual Rows'] > 0)).toEqual([]);
  }
});

test('a token is looked for once in each partition, and in no more than four', async () => {
  const [scans = [], ...others] = await scansOf(ticketByToken(some.token));
  expect(others).toEqual([]);
  const probes = scans.filter((node) => node['Relation Name']?.startsWith('ticket_tokens'));
  const names = probes.map((node) => node['Relation Name'] ?? '');
  expect((onCitus ? names.map(tableOfShard) : names).sort()).toEqual(
    [0, 100_000, 200_000, 300_000].map((stretch) => `ticket_tokens_${stretch}`),
  );
  for (const probe of probes) expect(probe['Actual Loops']).toBe(1);
});
