import { expect, test } from 'vitest';
import type { FailoverRequest } from './failover.ts';
import { judgeLost, judgeStandby, type Place, type StandbyFacts } from './standby-fitness.ts';

const request: FailoverRequest = {
  node: { host: 'db1', port: 5432 },
  to: { host: 'db1b', port: 5432 },
  isOff: false,
};
const facts: StandbyFacts = {
  isStandby: true,
  isCitus: true,
  unreplayedBytes: 0,
  isStreaming: false,
  isMilliard: true,
};
const places: readonly Place[] = [
  { id: 1, groupId: 0, host: 'db0', port: 5432, isHere: false },
  { id: 2, groupId: 1, host: 'db1', port: 5432, isHere: true },
  { id: 3, groupId: 2, host: 'db2', port: 5432, isHere: false },
];
const elsewhere = (node: object): readonly Place[] =>
  places.map((place) => (place.isHere ? { ...place, ...node } : place));

test('the standby of a worker is promoted and gets its place; one that is promoted already only gets the place', () => {
  expect(judgeStandby(request, facts, places)).toMatchObject({ role: 'worker', promotes: true, redirects: true });
  const promoted = { ...facts, isStandby: false };
  expect(judgeStandby(request, promoted, places)).toMatchObject({ promotes: false, redirects: true });
});

test('nothing is left to be done where the nodes know the new address', () => {
  const promoted = { ...facts, isStandby: false };
  expect(judgeStandby(request, promoted, elsewhere({ host: 'db1b' }))).toMatchObject({
    role: 'worker',
    promotes: false,
    redirects: false,
  });
});

test('the standby of the coordinator is known by its group', () => {
  const ofCoordinator = places.map((place) => ({ ...place, isHere: place.groupId === 0 }));
  const lost = { ...request, node: { host: 'db0', port: 5432 } };
  expect(judgeStandby(lost, facts, ofCoordinator)).toMatchObject({ role: 'coordinator', redirects: true });
});

test('a standby of a single server is promoted, and no node has to be told', () => {
  expect(judgeStandby(request, { ...facts, isCitus: false }, [])).toMatchObject({
    role: 'single',
    promotes: true,
    redirects: false,
  });
});

interface Unfit {
  readonly what: string;
  readonly standby: StandbyFacts;
  readonly known: readonly Place[];
  readonly fault: string;
}

test.each<Unfit>([
  {
    what: 'a copy of another node',
    standby: facts,
    known: elsewhere({ host: 'db9' }),
    fault: 'it is a copy of db9:5432, not of db1:5432',
  },
  {
    what: 'a node of its own',
    standby: { ...facts, isStandby: false },
    known: [
      ...places.map((place) => ({ ...place, isHere: false })),
      { id: 4, groupId: 3, ...request.to, isHere: true },
    ],
    fault: 'a place of its own (worker)',
  },
  { what: 'a server of no cluster', standby: facts, known: [], fault: 'the place of no node' },
  {
    what: 'another database',
    standby: { ...facts, isMilliard: false },
    known: places,
    fault: 'no tables of Milliard',
  },
])('$what cannot take the place', ({ standby, known, fault }) => {
  expect(judgeStandby(request, standby, known)).toEqual({ fault: expect.stringContaining(fault) });
});

test('a server that is alive keeps its place, and one that may be alive until somebody says that it is off', () => {
  expect(judgeLost(request, 'primary')).toContain('there would be two');
  expect(judgeLost({ ...request, isOff: true }, 'primary')).toContain('there would be two');
  expect(judgeLost(request, 'starting')).toContain('starting or stopping');
  expect(judgeLost(request, 'silent')).toContain('--switched-off');
  expect(judgeLost({ ...request, isOff: true }, 'silent')).toBe(null);
  expect(judgeLost(request, 'stopped')).toBe(null);
  expect(judgeLost(request, 'standby')).toBe(null);
});
