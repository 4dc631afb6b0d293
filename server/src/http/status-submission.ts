import { z } from 'zod';
import { instant, storableText } from '../core/validation.ts';
import type { StatusEvent } from '../domains/orders/order-status.ts';

/** A status as `POST /api/v1/orders/{id}/status` takes it. */
export const statusSubmission = z
  .strictObject({
    status: z
      .enum(['pending', 'complete', 'cancelled', 'failed'])
      .meta({ description: '`failed` is cancelled with reason payment_failed.' }),
    reason: storableText(500).optional().meta({ description: 'Required to cancel a complete order (a refund).' }),
    occurred_at: instant.optional().meta({ description: 'RFC 3339; now where it is left out.' }),
    event_key: storableText(200).optional().meta({
      description: 'Names the event, so that it may be sent again: the header Idempotency-Key does the same.',
    }),
  })
  .transform(
    (document): Omit<StatusEvent, 'expectedVersion'> => ({
      status: document.status === 'failed' ? 'cancelled' : document.status,
      reason: document.reason ?? (document.status === 'failed' ? 'payment_failed' : null),
      occurredAt: document.occurred_at ?? null,
      eventKey: document.event_key ?? null,
    }),
  );
