import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** Tests that this machine cannot run, and what they lack. */
export interface NotRun {
  readonly tests: string;
  readonly lack: string;
  /** true: lacking it is no fault even where everything must be there (CI=true). */
  readonly optional?: boolean;
}

/** What scripts/test.mjs prints at its end. */
interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly missing: readonly NotRun[];
  readonly skippedWithNote: readonly NotRun[];
}

/** Writes a Summary as JSON into the file that MILLIARD_TEST_SUMMARY names; does nothing without it. */
export function createSummaryReporter(missing: readonly NotRun[]): Reporter {
  return {
    onTestRunEnd(modules, unhandledErrors) {
      const file = process.env['MILLIARD_TEST_SUMMARY'];
      if (file !== undefined) writeFileSync(file, JSON.stringify(summarise(modules, unhandledErrors, missing)));
    },
  };
}

function summarise(
  modules: readonly TestModule[],
  unhandledErrors: readonly SerializedError[],
  missing: readonly NotRun[],
): Summary {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const withState = (state: string) => tests.filter((test) => test.result().state === state);
  // A file that does not load and a hook that fails are failures though no test of theirs ran.
  const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
  const brokenSuites = suites.filter((suite) => suite.errors().length > 0);
  const skipped = withState('skipped');
  return {
    passed: withState('passed').length,
    failed: withState('failed').length + brokenSuites.length + unhandledErrors.length,
    skipped: skipped.length,
    missing,
    skippedWithNote: skipped.flatMap((test) => {
      const result = test.result();
      const note = result.state === 'skipped' ? result.note : undefined;
      return note === undefined ? [] : [{ tests: `${test.fullName} (${test.project.name})`, lack: note }];
    }),
  };
}
