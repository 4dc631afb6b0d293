import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ImportFileError } from '../../core/csv-columns.ts';
import type { OrderId } from '../../core/ids.ts';
import type { RejectedLine } from '../../core/import-line.ts';
import type { Instant } from '../../core/time.ts';
import { testNow } from '../../testing/test-clock.ts';
import { emptyOrders, given, inconsistencies, openTestOrders } from '../../testing/test-orders.ts';
import { importStatuses, type StatusImportRequest } from './order-status-import-service.ts';

const { db, orders } = await openTestOrders();

let ids: OrderId[];
beforeEach(async () => {
  await emptyOrders(db);
  const rows = Array.from({ length: 3 }, (_, i) =>
    given.toWrite({ customerId: 'C', orderNumber: `N${i}`, placedAt: (testNow - 60_000) as Instant }),
  );
  const outcomes = await orders.writer.write(rows, { by: 'insert', olderMonths: 'refuse' });
  ids = outcomes.flatMap((outcome) => (outcome.kind === 'created' ? [outcome.order.orderId] : []));
});
afterEach(async () => {
  expect(await inconsistencies(db)).toEqual([]);
});

async function importText(text: string, more: Partial<StatusImportRequest> = {}) {
  const rejected: RejectedLine[] = [];
  const summary = await importStatuses({
    chunks: Readable.from([Buffer.from(text)]),
    format: 'csv',
    signal: new AbortController().signal,
    record: (reports) => orders.recordReports(reports),
    onProgress() {},
    onRejected: (line) => void rejected.push(line),
    ...more,
  });
  return { ...summary, rejected: rejected.map(({ line, code }) => [line, code]) };
}

describe('a file of statuses', () => {
  test('is recorded in its order and changes nothing when it is sent again, late lines included', async () => {
    const csv = [
      'Status,customer_id,order_number,status_at,reason',
      'complete,C,N0,,',
      'cancelled,C,N0,,refund',
      'pending,C,N0,2025-01-01T00:00:00Z,',
      'failed,C,N1,,',
      'complete,C,N2,,',
    ].join('\n');
    const none = { late: 0, unchanged: 0, rejected: [] };
    expect(await importText(csv)).toEqual({ ...none, rows: 5, recorded: 4, late: 1, replayed: 0 });
    expect(await orders.getOrder(ids[1] as OrderId)).toMatchObject({ status: 'cancelled', reason: 'payment_failed' });
    expect(await importText(csv)).toEqual({ ...none, rows: 5, recorded: 0, replayed: 5 });
    expect((await orders.getHistory(ids[0] as OrderId)).map(({ status, actor }) => [status, actor])).toEqual([
      ['pending', 'test'],
      ['complete', 'import'],
      ['cancelled', 'import'],
      ['pending', 'import'],
    ]);
  });

  test('as NDJSON names orders by id or number; rejected lines keep their text', async () => {
    const lines = [
      { order_id: ids[0], status: 'complete', error: 'from an earlier run', line: 7 },
      { customer_id: 'C', order_number: 'N9', status: 'complete' },
      { order_number: 'N1', status: 'complete' },
      { order_id: ids[0], status: 'pending' },
    ].map((row) => JSON.stringify(row));
    const { rejected, recorded } = await importText([...lines, '', '[]', 'x\uFFFD'].join('\n'), { format: 'ndjson' });
    expect(recorded).toBe(1);
    expect(rejected).toEqual([
      [2, 'order_not_found'],
      [3, 'invalid_status'],
      [4, 'status_conflict'],
      [6, 'malformed_row'],
      [7, 'not_utf8'],
    ]);
  });

  test('that names no orders or has no status is refused as a whole', async () => {
    await expect(importText('status,customer_id\ncomplete,C')).rejects.toThrow(
      /order_id, or customer_id and order_number/,
    );
    await expect(importText('order_id\nx')).rejects.toThrow(/no column status/);
    await expect(importText('')).rejects.toThrow(ImportFileError);
  });

  test('goes on where it was interrupted', async () => {
    const abort = new AbortController();
    const many = Array.from({ length: 4_100 }, (_, i) => `complete,C,N${i === 4_099 ? 2 : i % 2}`);
    const csv = ['status,customer_id,order_number', ...many].join('\n');
    const onProgress = () => abort.abort(new Error('interrupted'));
    await expect(importText(csv, { signal: abort.signal, onProgress })).rejects.toThrow('interrupted');
    expect(await orders.getOrder(ids[2] as OrderId)).toMatchObject({ status: 'pending' });
    expect(await importText(csv)).toMatchObject({ rows: 4_100, recorded: 1, replayed: 4_099 });
  });
});
