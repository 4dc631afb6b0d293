import { createInterface } from 'node:readline/promises';
import type { Run } from './context.ts';
import { UsageError } from './stopped.ts';

/** Whether there is a person who can be asked. */
const isTerminal = ({ context }: Run): boolean =>
  'isTTY' in context.stdin && context.stdin.isTTY === true && context.stderr.isTTY === true;

/** For commands that ask before they act. @throws UsageError where nobody can be asked */
export function requireConfirmable(run: Run, consequence: string): void {
  if (!isTerminal(run))
    throw new UsageError(`Nobody can be asked here, and ${consequence}. Add --yes to do it without asking.`);
}

/** Asks the person at the terminal. @returns whether the answer is "yes" */
export async function confirm(run: Run, question: string): Promise<boolean> {
  const lines = createInterface({ input: run.context.stdin, output: run.context.stderr });
  try {
    const answer = await lines.question(question, { signal: run.signal });
    return answer.trim().toLowerCase() === 'yes';
  } finally {
    lines.close();
  }
}
