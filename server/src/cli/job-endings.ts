import { rotateKind } from '../domains/tickets/ticket-rotation.ts';
import type { Run } from './context.ts';
import { proofLines } from './rotation-texts.ts';
import type { EndingOptions } from './run-job.ts';

/** What is said at the end of a run that is watched or resumed by its id: the same as its own command says, where it has one. */
export const endingOfKind = ({ output }: Run, kind: string): EndingOptions =>
  kind !== rotateKind
    ? {}
    : {
        onDone(done) {
          for (const line of proofLines(done)) output.say(line);
        },
      };
