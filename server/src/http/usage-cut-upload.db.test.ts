import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatInstant, type Instant } from '../core/time.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { createTestClient } from '../testing/open-database.ts';
import { openTestApi } from '../testing/test-api.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const { app, server, databaseUrl } = await openTestApi();
const yesterday = formatInstant((Date.now() - 86_400_000) as Instant);
let port: number;
beforeAll(async () => {
  port = Number(new URL((await server.listen('127.0.0.1', 0)).url).port);
});

type Form = 'ndjson' | 'csv' | 'ndjson.gz' | 'csv.gz';
const forms: readonly Form[] = ['ndjson', 'csv', 'ndjson.gz', 'csv.gz'];

/** The records of one upload: of a subscription of their own, so that their sums tell of this upload alone. */
function bytesOf(form: Form, subscription: string, rows: number): Buffer {
  const records = Array.from({ length: rows }, (_, i) => ({
    record_id: `é${i}`,
    subscription_id: subscription,
    usage_type: 'data',
    used_at: yesterday,
    used: 100 + i,
    price: `1.${String(i % 1_000).padStart(3, '0')}`,
  }));
  const text = form.startsWith('csv')
    ? `used_at,usage_type,record_id,subscription_id,price,used\n${records
        .map((r) => `${r.used_at},${r.usage_type},${r.record_id},${r.subscription_id},${r.price},${r.used}\n`)
        .join('')}`
    : records.map((r) => `${JSON.stringify(r)}\n`).join('');
  return form.endsWith('gz') ? gzipSync(text) : Buffer.from(text);
}

const headersOf = (form: Form, key: string | null): Record<string, string> => ({
  'content-type': form.startsWith('csv') ? 'text/csv' : 'application/x-ndjson',
  ...(form.endsWith('gz') ? { 'content-encoding': 'gzip' } : {}),
  ...(key === null ? {} : { 'idempotency-key': key }),
});

const endings = ['reset', 'closed', 'chunked and reset', 'chunked and closed'] as const;
type Ending = (typeof endings)[number];

/** Sends the beginning of an upload and is gone, in one of the ways a sender may go. Waits for nothing the server does. */
async function sendCut(
  bytes: Buffer,
  headers: Record<string, string>,
  { cut, ending }: { cut: number; ending: Ending },
) {
  const isChunked = ending.startsWith('chunked');
  const length = isChunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(bytes.length) };
  const lines = Object.entries({ host: 'milliard', ...headers, ...length }).map(([name, value]) => `${name}: ${value}`);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  const closed = once(socket, 'close');
  const head = `POST /api/v1/usage/records/bulk HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
  const part = bytes.subarray(0, cut);
  const body = isChunked && cut > 0 ? [Buffer.from(`${cut.toString(16)}\r\n`), part, Buffer.from('\r\n')] : [part];
  await new Promise<void>((resolve) => socket.write(Buffer.concat([Buffer.from(head), ...body]), () => resolve()));
  if (ending.endsWith('reset')) socket.resetAndDestroy();
  else socket.end();
  await closed;
}

async function sendWhole(bytes: Buffer, headers: Record<string, string>) {
  const answer = await server.fastify.inject({
    method: 'POST',
    url: '/api/v1/usage/records/bulk',
    headers,
    payload: bytes,
  });
  const last = answer.body.trim().split('\n').at(-1) ?? '';
  return { status: answer.statusCode, ...(JSON.parse(last) as { summary?: Record<string, unknown>; code?: string }) };
}

/** Cuts, sends again as it was, and tells what the second answer says. */
async function cutAndSendAgain(
  form: Form,
  name: string,
  more: { rows: number; cut: number; ending: Ending; key: boolean },
) {
  const bytes = bytesOf(form, name, more.rows);
  const headers = headersOf(form, more.key ? name : null);
  await sendCut(bytes, headers, more);
  const { status, summary } = await sendWhole(bytes, headers);
  const { accepted, duplicates, rejected_rows: rejected } = summary ?? {};
  // Under its key it is answered as if it had been sent once. Without one, what is stored already is a duplicate.
  const counted = more.key ? { accepted, duplicates } : { stored: Number(accepted) + Number(duplicates) };
  const expected = more.key ? { accepted: more.rows, duplicates: 0 } : { stored: more.rows };
  expect({ name, ...more, status, ...counted, rejected }).toEqual({
    name,
    ...more,
    status: 200,
    ...expected,
    rejected: 0,
  });
}

/** Sums, raw and rolled up, that are not those of an upload sent once. */
async function wrongSums(rowsOf: ReadonlyMap<string, number>): Promise<unknown[]> {
  await app.usage.rollup.once();
  const db = createTestClient(databaseUrl);
  try {
    const stored = await db.query(
      dynamic<{ name: string; sums: string[] }>(sql`
        select subscription_id as name, array[
          (select count(*) || ' ' || sum(used) || ' ' || sum(price) from usage_records r where r.bucket = t.bucket and r.subscription_id = t.subscription_id),
          (select sum(records) || ' ' || sum(total_used) || ' ' || sum(total_price) from usage_daily d where d.bucket = t.bucket and d.subscription_id = t.subscription_id),
          records || ' ' || total_used || ' ' || total_price] as sums
        from usage_totals t`),
    );
    const once = [...rowsOf].map(([name, rows]) => {
      const used = Array.from({ length: rows }, (_, i) => 100 + i).reduce((sum, n) => sum + n, 0);
      const thousandths = Array.from({ length: rows }, (_, i) => 1_000 + (i % 1_000)).reduce((sum, n) => sum + n, 0);
      const text = `${rows} ${used} ${(thousandths / 1_000).toFixed(3)}`;
      return [name, `${text},${text},${text}`] as const;
    });
    const found = new Map(stored.map(({ name, sums }) => [name, sums.join()]));
    return once
      .filter(([name, sums]) => found.get(name) !== sums)
      .map(([name, sums]) => ({ name, sums, found: found.get(name) }));
  } finally {
    await db.close();
  }
}

const random = (below: number): number => Math.floor(Math.random() * below);

describe('an upload that is cut and sent again equals one sent once', () => {
  test.each(forms)(
    '%s, at any byte of a short one',
    async (form) => {
      const rows = 3;
      const length = bytesOf(form, `${form}-0000-k`, rows).length;
      const cuts = full
        ? Array.from({ length: length + 1 }, (_, i) => i)
        : [0, 1, length - 1, length, ...Array.from({ length: 50 }, () => random(length))];
      const rowsOf = new Map<string, number>();
      for (const [i, cut] of cuts.entries()) {
        const key = i % 3 !== 0;
        const name = `${form}-${String(i).padStart(4, '0')}-${key ? 'k' : 'n'}`;
        rowsOf.set(name, rows);
        const ending = endings[i % endings.length] ?? 'reset';
        await cutAndSendAgain(form, name, { rows, cut, ending, key });
      }
      expect(await wrongSums(rowsOf)).toEqual([]);
    },
    300_000,
  );

  test.each(forms)(
    '%s, at any byte of one of three parts',
    async (form) => {
      const rows = 41_000;
      const rowsOf = new Map<string, number>();
      for (let i = 0; i < (full ? 12 : 1); i++) {
        const name = `long-${form}-${i}`;
        rowsOf.set(name, rows);
        const cut = random(bytesOf(form, name, rows).length);
        await cutAndSendAgain(form, name, { rows, cut, ending: endings[random(4)] ?? 'reset', key: i % 2 === 0 });
      }
      expect(await wrongSums(rowsOf)).toEqual([]);
    },
    600_000,
  );

  test('a file of gzip that was cut before it was sent is refused, and the whole one is stored once', async () => {
    const rowsOf = new Map<string, number>();
    const outcomes = new Set<string>();
    for (const form of ['ndjson.gz', 'csv.gz'] as const) {
      const length = bytesOf(form, `file-${form}-00`, 3).length;
      // Without a byte it is an upload of nothing.
      const cuts = [1, 9, 10, 11, length - 9, length - 8, length - 4, length - 1, random(length - 1) + 1];
      for (const [i, cut] of cuts.entries()) {
        const name = `file-${form}-${String(i).padStart(2, '0')}`;
        const bytes = bytesOf(form, name, 3);
        const headers = headersOf(form, name);
        const { status, code } = await sendWhole(bytes.subarray(0, Math.min(cut, bytes.length - 1)), headers);
        outcomes.add(`${status} ${code}`);
        rowsOf.set(name, 3);
        expect((await sendWhole(bytes, headers)).summary).toMatchObject({ accepted: 3, duplicates: 0 });
      }
    }
    expect([...outcomes]).toEqual(['400 malformed_gzip']);
    expect(await wrongSums(rowsOf)).toEqual([]);
  });
});
