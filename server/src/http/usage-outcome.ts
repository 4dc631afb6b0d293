import { z } from 'zod';
import type { BatchOutcome } from '../domains/usage/usage.ts';

const rejectionSchema = z.object({ line: z.int(), code: z.string(), detail: z.string() });

/** What a batch of usage is answered with. */
export const outcomeFields = {
  batch_id: z.string().meta({ description: 'What GET /api/v1/usage/metrics?wait_for= takes.' }),
  accepted: z.int().meta({ description: 'Records that are stored.' }),
  duplicates: z.int().meta({ description: 'Records that were there before: the first one won.' }),
  rejected_rows: z.int(),
  rejected: z.array(rejectionSchema).meta({ description: 'The first 1,000 of them, lines counted from 1.' }),
};

export const usageOutcomeSchema = z.object(outcomeFields).meta({ id: 'UsageOutcome' });

export const toOutcomeDocument = (outcome: BatchOutcome): z.output<typeof usageOutcomeSchema> => ({
  batch_id: String(outcome.batchId),
  accepted: outcome.accepted,
  duplicates: outcome.duplicates,
  rejected_rows: outcome.rejectedRows,
  rejected: [...outcome.rejected],
});
