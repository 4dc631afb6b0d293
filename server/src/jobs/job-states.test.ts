import { describe, expect, test } from 'vitest';
import { type JobEvent, type JobState, jobStates, transitions } from './job.ts';
import { eventsAllowedIn, isFinal, nextState, operatorEventsIn, requireNextState } from './job-states.ts';

const events = ['claim', 'release', 'pause', 'resume', 'cancel', 'fail', 'finish', 'cancelled'] as const;

// Read as: in this state, the events of the head lead to …; '-' = refused.
const table = `
  state       claim       release     pause   resume  cancel      fail    finish  cancelled
  queued      running     -           paused  -       cancelling  -       -       -
  running     running     queued      paused  -       cancelling  failed  done    -
  paused      -           -           -       queued  cancelling  -       -       -
  cancelling  cancelling  cancelling  -       -       -           failed  -       cancelled
  cancelled   -           -           -       -       -           -       -       -
  failed      -           -           -       queued  cancelling  -       -       -
  done        -           -           -       -       -           -       -       -`;

const cells = table
  .trim()
  .split('\n')
  .slice(1)
  .flatMap((line) => {
    const [state, ...next] = line.trim().split(/\s+/);
    return events.map((event, i) => [state as JobState, event as JobEvent, next[i] ?? ''] as const);
  });

describe('the table of states', () => {
  test('decides every event in every state', () => {
    expect(cells.length).toBe(jobStates.length * events.length);
    expect(new Set(Object.values(transitions).flatMap((row) => Object.keys(row)))).toEqual(new Set(events));
  });

  test.each(cells)('%s + %s = %s', (state, event, expected) => {
    expect(nextState(state, event) ?? '-').toBe(expected);
  });

  const reachableFrom = (state: JobState): Set<JobState> => {
    const seen = new Set<JobState>([state]);
    for (const from of seen) for (const event of eventsAllowedIn(from)) seen.add(nextState(from, event) ?? from);
    return seen;
  };

  test('every state can be reached by a queued run', () => {
    expect([...reachableFrom('queued')].sort()).toEqual([...jobStates].sort());
  });

  test('no state is a trap: each is final or leads to a final one', () => {
    for (const state of jobStates) expect([...reachableFrom(state)].some(isFinal), state).toBe(true);
    expect(jobStates.filter(isFinal)).toEqual(['cancelled', 'done']);
  });

  test('a refused event says what may be done instead', () => {
    expect(operatorEventsIn('failed')).toEqual(['resume', 'cancel']);
    expect(() => requireNextState('failed', 'pause')).toThrow(
      'The run is failed: pause is not possible. Possible now: resume, cancel.',
    );
    expect(() => requireNextState('paused', 'claim')).toThrow(
      'The run is paused: it cannot be worked at. Possible now: resume, cancel.',
    );
    for (const event of ['claim', 'resume', 'cancel'] as const)
      expect(() => requireNextState('cancelled', event)).toThrow(
        'The run is over (cancelled): nothing can be done with it any more. Started again, it is a new run.',
      );
  });
});
