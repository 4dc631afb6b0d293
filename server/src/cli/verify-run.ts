import type { JobKind, JobRun, Json } from '../jobs/job.ts';
import { createJobs } from '../jobs/jobs-service.ts';
import { exitCodes, type Run, stderrLogger, withApp } from './context.ts';
import { type JobOptions, jobExits, readJobOptions } from './job-options.ts';
import { runJobForOutcome } from './job-outcome.ts';

export interface VerifyOptions extends JobOptions {
  readonly repair?: boolean;
}

/** One difference: a document for `--json`, and the same in words for a person. */
export interface ToldDifference {
  readonly document: Readonly<Record<string, string | boolean>>;
  readonly line: string;
}

/** What a comparison found, and how much it looked at. */
export type VerifyCounts = Readonly<Record<string, number>> & { readonly differences: number; readonly mended: number };

export interface Verification {
  /** `verify orders` */
  readonly name: string;
  /** @param tell is told of each difference as it is found */
  readonly kindOf: (tell: (difference: ToldDifference) => void) => JobKind;
  readonly countsOf: (run: JobRun) => VerifyCounts;
  /** What was looked at, with its counts: "3 orders, 4 rows of history, 3 keys". */
  readonly lookedAt: (counts: VerifyCounts) => string;
  /** The differences that are kept with a run that is done. */
  readonly keptIn: (result: Json) => readonly ToldDifference[];
}

export const verifyExits = [
  [0, 'no difference, or --repair mended all of them'],
  [1, 'differences remain, or it failed'],
  ...jobExits,
] as const;

// A person reads the first ones; `--json` has them all.
const shownDifferences = 20;
// As many as are kept with a run.
const rememberedDifferences = 100;

/** Runs a comparison as a job of this process, tells its differences, and says whether any remain. */
export async function runVerify(run: Run, verification: Verification, options: VerifyOptions): Promise<number> {
  const { output } = run;
  const { repair = false } = options;
  const told = new Set<string>();
  let shown = 0;
  const tell = ({ document, line }: ToldDifference): void => {
    const known = JSON.stringify(document);
    if (told.has(known)) return;
    if (told.size < rememberedDifferences) told.add(known);
    shown++;
    if (output.json) void output.record(document);
    else if (shown <= shownDifferences) output.say(line);
  };
  const kind = verification.kindOf(tell);
  const { exitCode, done } = await withApp(run, verification.name, ({ db }) =>
    runJobForOutcome(run, createJobs({ db, kinds: [kind], logger: stderrLogger(output) }), {
      kind: kind.name,
      parameters: { repair },
      ...readJobOptions(options),
      resumeLine: () => 'the same command again',
      summary: (verified) => sentence(verification, verified, repair),
      onDone() {},
    }),
  );
  if (done === null) return exitCode;
  // Those that were found before this process went on with the run.
  for (const difference of verification.keptIn(done.result)) tell(difference);
  const counts = verification.countsOf(done);
  await output.record(counts);
  return counts.differences > counts.mended ? exitCodes.failed : exitCodes.done;
}

function sentence({ countsOf, lookedAt }: Verification, run: JobRun, repair: boolean): string {
  const counts = countsOf(run);
  const { differences, mended } = counts;
  if (differences === 0) return `${lookedAt(counts)}: 0 differences.`;
  return `${lookedAt(counts)}: ${differences} differences${repair ? `, ${mended} mended` : '; --repair mends copies'}.`;
}
