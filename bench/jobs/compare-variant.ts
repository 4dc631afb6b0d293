// One way of regenerating every token, as teams write it with an ORM, in a process of its own so that its memory can be seen:
//   compare-variant.ts URL TABLE streamed|memory bulk|rows LIMIT
// Prints {"rows": updated, "seconds": of the updates and the reading}.
import { randomUUID } from 'node:crypto';
import pg from 'pg';

const [url = '', table = '', reading = '', writing = '', limit = ''] = process.argv.slice(2);
const chunkRows = 10_000;
const client = new pg.Client(url);

interface Ticket {
  readonly id: string;
  readonly holder: string;
  readonly event: string;
  readonly created_at: Date;
  readonly token: string;
}

/** By a cursor of the server, a chunk at a time; or all at once, as `queryset.all()` ends up. */
async function* chunks(): AsyncGenerator<readonly Ticket[]> {
  if (reading === 'memory') {
    const { rows } = await client.query<Ticket>(`select * from ${table}`);
    for (let i = 0; i < rows.length; i += chunkRows) yield rows.slice(i, i + chunkRows);
    return;
  }
  const reader = new pg.Client(url);
  await reader.connect();
  try {
    await reader.query(`begin; declare tickets no scroll cursor for select * from ${table}`);
    for (;;) {
      const { rows } = await reader.query<Ticket>(`fetch ${chunkRows} from tickets`);
      if (rows.length === 0) break;
      yield rows;
    }
  } finally {
    await reader.end();
  }
}

async function update(tickets: readonly Ticket[]): Promise<void> {
  if (writing === 'rows') {
    for (const { id } of tickets) {
      await client.query(`update ${table} set token = $1 where id = $2`, [randomUUID(), id]);
    }
    return;
  }
  await client.query(
    `update ${table} t set token = n.token from unnest($1::uuid[], $2::uuid[]) n (id, token) where t.id = n.id`,
    [tickets.map(({ id }) => id), tickets.map(() => randomUUID())],
  );
}

await client.connect();
const startedMs = performance.now();
let rows = 0;
for await (const chunk of chunks()) {
  const wanted = chunk.slice(0, Number(limit) - rows);
  await update(wanted);
  rows += wanted.length;
  if (rows >= Number(limit)) break;
}
console.log(JSON.stringify({ rows, seconds: (performance.now() - startedMs) / 1_000 }));
await client.end();
