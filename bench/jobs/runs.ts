import { type ProgramRun, runCommand } from '../harness/command.ts';

/** The fields of `--json` that the bench reads. */
export interface JobLine {
  readonly state: string;
  readonly done_rows: number;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly remaining_ms: number | null;
}

export interface MeasuredJob {
  /** From the first claim to the proven end, as the run itself says. */
  readonly seconds: number;
  readonly rows: number;
  readonly lines: readonly { readonly atMs: number; readonly line: JobLine }[];
  readonly program: ProgramRun;
}

/**
 * Runs a command that runs a job in the foreground. @param env settings of its own
 * @throws Error unless the run came to its proven end
 */
export async function measureJob(args: readonly string[], env: Record<string, string> = {}): Promise<MeasuredJob> {
  const program = await runCommand([...args, '--json'], env);
  const lines = program.lines
    .map(({ atMs, text }) => ({ atMs, line: JSON.parse(text) as Partial<JobLine> }))
    .filter((entry): entry is { atMs: number; line: JobLine } => entry.line.state !== undefined);
  const last = lines[lines.length - 1]?.line;
  if (last?.state !== 'done' || last.started_at === null || last.finished_at === null) {
    throw new Error(`milliard ${args.join(' ')} did not end as done:\n${program.lines.at(-1)?.text}`);
  }
  const seconds = (Date.parse(last.finished_at) - Date.parse(last.started_at)) / 1_000;
  return { seconds, rows: last.done_rows, lines, program };
}

/**
 * How far the told remaining time was off at its worst, as a share of the whole duration, after the first tenth of it.
 * NaN when none was told there.
 */
export function remainingTimeError({ lines, program }: MeasuredJob): number {
  const totalMs = program.seconds * 1_000;
  const errors = lines
    .filter(({ atMs, line }) => atMs > totalMs / 10 && line.state === 'running' && line.remaining_ms !== null)
    .map(({ atMs, line }) => Math.abs((line.remaining_ms ?? 0) - (totalMs - atMs)) / totalMs);
  return errors.length === 0 ? Number.NaN : Math.max(...errors);
}
