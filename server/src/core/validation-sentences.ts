import { z } from 'zod';

// What zod finds, in sentences that go on behind the name of a field: "used must be at least 0". Faults of a schema that has
// words of its own keep them.

export const missingField = 'is required';

const nouns: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
};

/** Forms of text by zod's names. */
const forms: Readonly<Record<string, string>> = {
  uuid: 'a UUID',
  guid: 'a UUID',
  url: 'a URL',
  email: 'an email address',
  date: 'a day such as 2026-01-31',
  datetime: 'a date and time such as 2026-01-31T12:30:00Z',
};

/** What sizes of other things than numbers count. */
const units: Readonly<Record<string, readonly [one: string, several: string]>> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
  set: ['entry', 'entries'],
  map: ['entry', 'entries'],
};

/** The words for a fault that zod found before it has any. */
function sentenceOf(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? missingField : `must be ${nouns[issue.expected] ?? issue.expected}`;
    case 'too_small':
      return bound(issue, { limit: issue.minimum, direction: 'at least', beyond: 'greater than' });
    case 'too_big':
      return bound(issue, { limit: issue.maximum, direction: 'at most', beyond: 'less than' });
    case 'invalid_format':
      return formatSentence(issue);
    case 'invalid_value':
      return issue.values.length === 1
        ? `must be ${plain(issue.values[0])}`
        : `must be one of ${issue.values.map(plain).join(', ')}`;
    case 'unrecognized_keys':
      return `has fields that are not known: ${issue.keys.slice(0, 20).join(', ')}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    default:
      return 'has none of the forms that are taken here';
  }
}

const plain = (value: unknown): string => (value === '' ? '""' : String(value));

interface Bound {
  readonly limit: number | bigint;
  readonly direction: string;
  /** For limits that are not allowed themselves. */
  readonly beyond: string;
}

function bound(
  { origin, exact, inclusive }: Pick<z.core.$ZodIssueTooBig, 'origin' | 'exact' | 'inclusive'>,
  { limit, direction, beyond }: Bound,
): string {
  const unit = units[origin];
  const amount = limit.toLocaleString('en');
  if (unit === undefined) return `must be ${inclusive === false ? beyond : direction} ${amount}`;
  if (direction === 'at least' && Number(limit) === 1 && exact !== true) return 'must not be empty';
  return `must have ${exact === true ? 'exactly' : direction} ${amount} ${Number(limit) === 1 ? unit[0] : unit[1]}`;
}

function formatSentence({
  format,
  pattern,
  prefix,
}: {
  readonly format: string;
  readonly pattern?: unknown;
  readonly prefix?: unknown;
}): string {
  if (format === 'regex' && pattern !== undefined) return `must match the pattern ${pattern}`;
  if (format === 'starts_with' && prefix !== undefined) return `must begin with ${prefix}`;
  return `must be ${forms[format] ?? `in the form ${format}`}`;
}

z.config({ customError: sentenceOf });
