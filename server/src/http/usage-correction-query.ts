import { z } from 'zod';
import { type Day, parseDay } from '../core/days.ts';
import { storableText } from '../core/validation.ts';
import type { RecordIdentity } from '../domains/usage/usage-correction.ts';
import { requiredParameter, text } from './query-parameters.ts';

/** Which record: as it was sent. */
export const recordParams = z.strictObject({
  subscription_id: storableText(200).meta({
    description: 'The one that the record was sent with.',
    'x-examples': ['SUB789'],
  }),
  record_id: storableText(200).meta({ 'x-examples': ['r-1001'] }),
});

const day = requiredParameter(
  (value, refuse): Day => parseDay(value) ?? refuse('must be a UTC day such as 2026-06-30'),
  {
    type: 'string',
    format: 'date',
    description: 'The UTC day of used_at, as the record was sent; it stays when the record is moved.',
    'x-examples': ['2026-06-30'],
  },
);

export const recordQuery = z.strictObject({ day });

const largestRevision = 2 ** 31 - 1;

export const deletionQuery = z.strictObject({
  day,
  revision: requiredParameter(
    (value, refuse) => {
      const number = /^\d{1,10}$/.test(value) ? Number(value) : 0;
      return number >= 1 && number <= largestRevision ? number : refuse('must be a whole number from 1 to 2^31 - 1');
    },
    {
      type: 'integer',
      minimum: 1,
      maximum: largestRevision,
      description: 'One more than the present revision of the record; as it was sent, a record has 0.',
      'x-examples': ['1'],
    },
  ),
  reason: text(500, 'Why, for whoever asks later.'),
});

export const identityOf = (params: z.output<typeof recordParams>, onDay: Day): RecordIdentity => ({
  subscriptionId: params.subscription_id,
  recordId: params.record_id,
  day: onDay,
});
