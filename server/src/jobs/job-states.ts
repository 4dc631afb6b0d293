import { DomainError } from '../core/errors.ts';
import { type JobEvent, type JobState, transitions } from './job.ts';

/** The state after an event, or null where the event is refused. */
export function nextState(state: JobState, event: JobEvent): JobState | null {
  const row: Partial<Record<JobEvent, JobState>> = transitions[state];
  return row[event] ?? null;
}

export const eventsAllowedIn = (state: JobState): readonly JobEvent[] => Object.keys(transitions[state]) as JobEvent[];

/** Nothing happens to the run any more. */
export const isFinal = (state: JobState): boolean => eventsAllowedIn(state).length === 0;

const operatorEvents: readonly JobEvent[] = ['pause', 'resume', 'cancel'];

/** What an operator may do now. */
export const operatorEventsIn = (state: JobState): readonly JobEvent[] =>
  eventsAllowedIn(state).filter((event) => operatorEvents.includes(event));

/** @throws DomainError `job_state_conflict` with what is allowed instead */
export function requireNextState(state: JobState, event: JobEvent): JobState {
  const next = nextState(state, event);
  if (next !== null) return next;
  const allowed = operatorEventsIn(state);
  throw new DomainError('job_state_conflict', refusal(state, event), { state, allowed });
}

function refusal(state: JobState, event: JobEvent): string {
  if (isFinal(state))
    return `The run is over (${state}): nothing can be done with it any more. Started again, it is a new run.`;
  const refused = event === 'claim' ? 'it cannot be worked at' : `${event} is not possible`;
  return `The run is ${state}: ${refused}. Possible now: ${operatorEventsIn(state).join(', ')}.`;
}
