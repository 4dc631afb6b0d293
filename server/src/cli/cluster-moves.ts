import { setTimeout as delay } from 'node:timers/promises';
import { toMovesDocument } from '../http/cluster-representation.ts';
import type { Cluster, Moves } from '../storage/cluster/cluster.ts';
import { movesText } from './cluster-texts.ts';
import { exitCodes, type Run } from './context.ts';

const pollMs = 500;

const howToWatch = 'Watch it: milliard cluster rebalance; end it: milliard cluster rebalance --cancel';

const isOver = ({ state }: Moves): boolean => state === 'finished' || state === 'cancelled' || state === 'failed';

/**
 * Shows moves in the background until they end. Ctrl-C ends the showing only: the cluster goes on by itself.
 * @returns the exit code: 0 done, 1 failed, 5 cancelled
 */
export async function watchMoves({ output, signal }: Run, cluster: Cluster, begun: Moves): Promise<number> {
  const progress = output.progress({ title: 'moving' });
  let moves = begun;
  try {
    while (!isOver(moves)) {
      progress.update(moves.done, moves.total, movesText(moves));
      await delay(pollMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) {
        progress.stop();
        output.note(`The moves go on in the cluster (background job ${moves.jobId}). ${howToWatch}`);
        signal.throwIfAborted();
      }
      moves = (await cluster.findMoves()) ?? moves;
    }
    progress.update(moves.done, moves.total, movesText(moves));
  } finally {
    progress.stop();
  }
  await output.record(toMovesDocument(moves));
  const words = moves.state === 'finished' ? 'done' : moves.state;
  output.say(`${words}: ${movesText(moves)} (background job ${moves.jobId})`);
  if (moves.state === 'failed')
    output.warn(`It failed: ${moves.fault ?? 'the log of the coordinator says why'}. Run the command again.`);
  return moves.state === 'finished'
    ? exitCodes.done
    : moves.state === 'cancelled'
      ? exitCodes.cancelled
      : exitCodes.failed;
}

/** Says that moves go on and comes back at once. */
export async function leaveMoves({ output }: Run, moves: Moves): Promise<number> {
  await output.record(toMovesDocument(moves));
  output.say(`${moves.state}: background job ${moves.jobId}, ${moves.total} steps`);
  output.note(howToWatch);
  return exitCodes.done;
}
