import { z } from 'zod';
import { formatDay } from '../core/days.ts';
import { formatInstant } from '../core/time.ts';
import { formatAmount, formatMicros } from '../domains/usage/decimal.ts';
import type { StoredAdjustment } from '../domains/usage/usage-adjustment.ts';
import {
  maxRevisionsShown,
  type RecordHistory,
  type RecordState,
  type RevisedRecord,
  type Revision,
} from '../domains/usage/usage-correction.ts';

const stateFields = {
  subscription_id: z.string(),
  usage_type: z.string(),
  used_at: z.string().meta({ format: 'date-time' }),
  used: z.string().meta({ description: 'In the unit of the usage type; text, for it may pass 2^53.' }),
  price: z.string().meta({ description: 'An exact decimal.' }),
};
const deleted = z.boolean().meta({ description: 'It counts in no sum; the fields are those it had.' });
const batchId = z.string().meta({ description: 'What GET /api/v1/usage/metrics?wait_for= takes.' });

const recordFields = {
  subscription_id: z.string().meta({ description: 'The one that the record was sent with.' }),
  record_id: z.string(),
  day: z.string().meta({ format: 'date', description: 'The UTC day it was sent for.' }),
  revision: z.int().meta({ description: '0 = as it was sent. The next correction is one more.' }),
  deleted,
  record: z.object(stateFields).meta({ description: 'What counts, as of the revision.' }),
  batch_id: batchId,
};

const stateExample = {
  subscription_id: 'SUB789',
  usage_type: 'data',
  used_at: '2026-06-30T12:30:00.000Z',
  used: '1024',
  price: '0.20',
};
const recordExample = {
  subscription_id: 'SUB789',
  record_id: 'r-1001',
  day: '2026-06-30',
  revision: 1,
  deleted: false,
  record: stateExample,
  batch_id: '870428319416320257',
};
const revisionExample = {
  revision: 1,
  deleted: false,
  ...stateExample,
  reason: 'rated by the old plan',
  actor: 'key 0123456789abcdef',
  recorded_at: '2026-07-01T09:00:00.000Z',
  batch_id: '870428319416320257',
};

export const correctedRecordSchema = z
  .object(recordFields)
  .meta({ id: 'CorrectedUsageRecord', examples: [recordExample] });

const revisionSchema = z
  .object({
    revision: z.int(),
    deleted,
    ...stateFields,
    reason: z.string().nullable(),
    actor: z.string().meta({ description: 'Who corrected it.' }),
    recorded_at: z.string().meta({ format: 'date-time' }),
    batch_id: batchId,
  })
  .meta({ id: 'UsageRevision' });

export const recordHistorySchema = z
  .object({
    ...recordFields,
    sent: z.object(stateFields).meta({ description: 'As it was sent.' }),
    revisions: z.array(revisionSchema).meta({ description: `The latest ${maxRevisionsShown}, newest first.` }),
  })
  .meta({
    id: 'UsageRecordHistory',
    examples: [{ ...recordExample, sent: { ...stateExample, price: '0.25' }, revisions: [revisionExample] }],
  });

export const adjustmentSchema = z
  .object({
    subscription_id: z.string(),
    adjustment_id: z.string(),
    usage_type: z.string(),
    day: z.string().meta({ format: 'date' }),
    used_delta: z.string().meta({ description: 'In the unit of the usage type; text, for it may pass 2^53.' }),
    price_delta: z.string().meta({ description: 'An exact decimal.' }),
    reason: z.string(),
    actor: z.string().meta({ description: 'Who made it.' }),
    recorded_at: z.string().meta({ format: 'date-time' }),
    batch_id: batchId,
  })
  .meta({
    id: 'UsageAdjustment',
    examples: [
      {
        subscription_id: 'SUB789',
        adjustment_id: 'a-77',
        usage_type: 'data',
        day: '2026-02-28',
        used_delta: '-1024',
        price_delta: '-0.25',
        reason: 'counted twice by the switch',
        actor: 'key 0123456789abcdef',
        recorded_at: '2026-07-01T09:00:00.000Z',
        batch_id: '870428319416320257',
      },
    ],
  });

const toStateDocument = (state: RecordState) => ({
  subscription_id: state.subscriptionId,
  usage_type: state.usageType,
  used_at: formatInstant(state.usedAt),
  used: String(state.used),
  price: state.price,
});

export const toCorrectedRecord = ({
  identity,
  revision,
  state,
  batchId: batch,
}: RevisedRecord): z.output<typeof correctedRecordSchema> => ({
  subscription_id: identity.subscriptionId,
  record_id: identity.recordId,
  day: formatDay(identity.day),
  revision,
  deleted: state.deleted,
  record: toStateDocument(state),
  batch_id: String(batch),
});

const toRevisionDocument = (revision: Revision): z.output<typeof revisionSchema> => ({
  revision: revision.revision,
  deleted: revision.state.deleted,
  ...toStateDocument(revision.state),
  reason: revision.reason,
  actor: revision.actor,
  recorded_at: formatInstant(revision.recordedAt),
  batch_id: String(revision.batchId),
});

export const toRecordHistory = (history: RecordHistory): z.output<typeof recordHistorySchema> => ({
  ...toCorrectedRecord(history),
  sent: toStateDocument(history.sent),
  revisions: history.revisions.map(toRevisionDocument),
});

export const toAdjustmentDocument = (adjustment: StoredAdjustment): z.output<typeof adjustmentSchema> => ({
  subscription_id: adjustment.subscriptionId,
  adjustment_id: adjustment.adjustmentId,
  usage_type: adjustment.usageType,
  day: formatDay(adjustment.day),
  used_delta: String(adjustment.usedDelta),
  price_delta: formatAmount(formatMicros(adjustment.priceDeltaMicros)),
  reason: adjustment.reason,
  actor: adjustment.actor,
  recorded_at: formatInstant(adjustment.recordedAt),
  batch_id: String(adjustment.batchId),
});
