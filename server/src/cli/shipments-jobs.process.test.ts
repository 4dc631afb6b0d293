import { expect, test } from 'vitest';
import { dynamic, sql } from '../storage/sql.ts';
import { openDataFolder } from '../testing/data-folder.ts';
import { runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { shipmentInconsistencies } from '../testing/test-shipments.ts';

const { server: embedded, db } = await openDataFolder('shipment jobs test');
const env = { DATABASE_URL: embedded.url };

async function milliard(...args: string[]): Promise<{ code: number | null; documents: Record<string, unknown>[] }> {
  const { code, stdout } = await runMilliard({ args: [...args, '--json'], env });
  const lines = stdout.trim() === '' ? [] : stdout.trim().split('\n');
  return { code, documents: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

const stored = async (): Promise<number> =>
  (await db.query(dynamic<{ count: number }>(sql`select count(*)::int as count from shipments`)))[0]?.count ?? 0;

test('shipments that are made up, by a command that is killed and typed again, are made once each', async () => {
  const args = ['shipments', 'generate', '--count', '12000', '--seed', '5'];
  const first = spawnMilliard({ args: [...args, '--rate', '4000'], env });
  while ((await stored()) === 0 && first.isRunning()) await new Promise((resolve) => setTimeout(resolve, 20));
  first.child.kill('SIGKILL');
  await first.ended;
  expect(await stored()).toBeLessThan(12_000);
  const { code, documents } = await milliard(...args, '--rate', '1000000');
  expect(code).toBe(0);
  expect(documents.at(-1)).toMatchObject({ seed: 5, shipments_created: 12_000, shipments_rejected: 0 });
  expect(await stored()).toBe(12_000);
  expect(await shipmentInconsistencies(db)).toEqual([]);
});

test('verify proves them, tells what differs, ends with 1 while anything does, and mends', async () => {
  expect(await milliard('verify', 'shipments')).toMatchObject({ code: 0 });
  const [{ number = '' } = {}] = await db.query(
    dynamic<{ number: string }>(sql`
      update shipments set status = 'cancelled' where tracking_key = (select min(tracking_key) from shipments) returning tracking_key as number`),
  );
  const looked = await milliard('verify', 'shipments');
  expect(looked.code).toBe(1);
  expect(looked.documents).toContainEqual(
    expect.objectContaining({ kind: 'status_differs', tracking_key: number, mended: false }),
  );
  expect(looked.documents.at(-1)).toMatchObject({ shipments: 12_000, differences: 1, mended: 0 });
  const repaired = await milliard('verify', 'shipments', '--repair');
  expect(repaired.documents.at(-1)).toMatchObject({ differences: 1, mended: 1 });
  expect(repaired.code).toBe(0);
  expect(await milliard('verify', 'shipments')).toMatchObject({ code: 0 });
});
