import { z } from 'zod';
import { REASONS_MAX } from './limits.ts';
import { code, text } from './scalars.ts';

/** A refusal's, withdrawal's or verdict's ground: a stable code and one sentence. */
export const reason = z.strictObject({ code, text }).readonly();
export type Reason = z.infer<typeof reason>;
export const reasons = z.array(reason).min(1).max(REASONS_MAX).readonly();
