import { expect, test } from 'vitest';
import { createFlights, type Flight } from './flights.ts';

/** Flights whose loads end when the test says so. */
function openFlights() {
  let nowMs = 0;
  const begun: { readonly flight: Flight; readonly land: (answer: string) => void }[] = [];
  const flights = createFlights<string>(900, () => nowMs);
  return {
    begun,
    flights,
    pass: (ms: number) => {
      nowMs += ms;
    },
    join: () =>
      flights.join('k', false, (flight) => new Promise<string>((resolve) => begun.push({ flight, land: resolve }))),
  };
}

test('a herd shares one load, and the next comer after its end begins another', async () => {
  const { begun, join } = openFlights();
  const herd = Array.from({ length: 50 }, join);
  expect(begun.length).toBe(1);
  begun[0]?.land('first');
  expect(new Set(await Promise.all(herd))).toEqual(new Set(['first']));
  void join();
  expect(begun.length).toBe(2);
});

test('a load that began too long ago is not joined', () => {
  const { begun, join, pass } = openFlights();
  void join();
  pass(900);
  void join();
  expect(begun.length).toBe(1);
  pass(1);
  void join();
  expect(begun.length).toBe(2);
});

test('forgetting marks every load of the key, the slow ones behind newer ones too, and nobody joins them', async () => {
  const { begun, flights, join, pass } = openFlights();
  const waiting = join();
  pass(1_000);
  void join();
  flights.forget('k');
  expect(begun.map(({ flight }) => flight.isForgotten)).toEqual([true, true]);
  void join();
  expect(begun.map(({ flight }) => flight.isForgotten)).toEqual([true, true, false]);
  begun[0]?.land('for who waited before');
  expect(await waiting).toBe('for who waited before');
  // The end of a forgotten load takes nothing from the newest one.
  void join();
  expect(begun.length).toBe(3);
  flights.forgetAll();
  expect(begun[2]?.flight.isForgotten).toBe(true);
});
