import Table from 'cli-table3';

/** One measured figure. `baseline` is in the same unit and from the same run; `ratio` is value / baseline. */
export interface Figure {
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  readonly ratio?: number;
  /** What the ratio or value is meant to reach. */
  readonly goal?: string;
}

export type Figures = Record<string, Figure>;

/** A figure beside its baseline. */
export const against = (value: number, baseline: number, rest: { unit: string; goal?: string }): Figure => ({
  value: rounded(value),
  baseline: rounded(baseline),
  ratio: rounded(value / baseline),
  ...rest,
});

/** A figure that stands alone. */
export const alone = (value: number, rest: { unit: string; goal?: string }): Figure => ({
  value: rounded(value),
  ...rest,
});

const rounded = (value: number): number => Number(value.toPrecision(4));

/** The table a person reads. */
export function tableOf(figures: Figures): string {
  const table = new Table({
    head: ['figure', 'value', 'unit', 'baseline', 'ratio', 'goal'],
    style: { head: [], border: [] },
    colAligns: ['left', 'right', 'left', 'right', 'right', 'left'],
  });
  for (const [name, { value, unit, baseline, ratio, goal }] of Object.entries(figures)) {
    table.push([name, value.toLocaleString('en'), unit, baseline?.toLocaleString('en') ?? '', ratio ?? '', goal ?? '']);
  }
  return table.toString();
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
