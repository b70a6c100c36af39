import { rekeyedVolume, rekeyMethod } from '@carnet/events';
import { z } from 'zod';

/** What was asked, agreed and done about the keys that the source knew. */
export const rekey = z.strictObject({
  demanded: rekeyMethod,
  agreed: rekeyMethod,
  done: rekeyMethod.optional(),
  volumes: z.array(rekeyedVolume).readonly(),
});

/** What one side says that it destroyed, and what nobody can prove. */
export const receipt = z.strictObject({
  by: z.string(),
  at: z.string(),
  method: z.string(),
  keys: z.array(z.strictObject({ key: z.string(), version: z.int().optional(), fate: z.string().optional() })).readonly(),
  artifacts: z
    .array(z.strictObject({ artifact: z.string(), fate: z.string().optional(), headerDigest: z.string().optional() }))
    .readonly(),
  cannotProve: z.string(),
  unproven: z.array(z.string()).readonly(),
  hasEvidence: z.boolean(),
});
