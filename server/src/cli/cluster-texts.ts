import { type NodeAddress, parseNodeAddress, remainingMovesMs } from '../core/cluster.ts';
import type { Moves } from '../storage/cluster/cluster.ts';
import { durationText, remainingText } from './job-texts.ts';
import { UsageError } from './stopped.ts';

const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** `512 bytes`, `1.5 MB`: as PostgreSQL counts, 1,024 of each. */
export function bytesText(bytes: number): string {
  const power = bytes < 1_024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1_024 ** power;
  return `${power === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`;
}

/** @throws UsageError */
export function readAddress(flag: string, text: string): NodeAddress {
  const address = parseNodeAddress(text);
  if (address !== null) return address;
  throw new UsageError(`${flag} is "${text}": give the address of a node such as db3:5432.`);
}

/** `2 of 5 moves, 12 s, ~18 s left: db1:5432 → db2:5432, catching up` */
export function movesText(moves: Moves): string {
  const left = moves.state === 'running' ? remainingMovesMs(moves) : null;
  const time =
    left === null ? durationText(moves.elapsedMs) : `${durationText(moves.elapsedMs)}, ~${remainingText(left)} left`;
  return `${moves.done} of ${moves.total} steps, ${time}${moves.phase === null ? '' : `: ${moves.phase}`}`;
}
