import { z } from 'zod';
import { storableText } from '../../core/validation.ts';

/** A usage type to register. */
export const newUsageType = z.strictObject({
  usage_type: z.string().regex(/^[a-z][a-z0-9_-]{0,49}$/, {
    error: 'must begin with a small letter and have up to 50 small letters, digits, _ and -',
  }),
  unit: storableText(50).meta({ description: 'What `used` counts, e.g. messages.' }),
});
