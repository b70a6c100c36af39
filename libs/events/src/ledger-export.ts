import { z } from 'zod';
import { EVENT_BYTES_MAX, NOTE_CHARS_MAX } from './limits.ts';
import { digest, timestamp, trustDomain } from './scalars.ts';

/** First line of an export, last line, and those between: newline-delimited JSON as `GET /v1/export` writes it. */
export const exportHeader = z.strictObject({
  carnet: z.literal('ledger-export'),
  v: z.literal(1),
  self: trustDomain,
  exportedAt: timestamp,
  /** End of the chain of key uses at that moment: whoever keeps exports sees a chain that was set back. */
  keyUses: z.strictObject({ n: z.int().min(0), digest }).optional(),
});
export type ExportHeader = z.infer<typeof exportHeader>;
export const exportEnd = z.strictObject({ carnet: z.literal('end-of-export') });

/** An envelope in base64, larger than an event may be: admission says so with its own code. */
const ENVELOPE_CHARS_MAX = EVENT_BYTES_MAX * 2;
export const exportLine = z.strictObject({
  publisher: trustDomain,
  audience: trustDomain,
  envelope: z.string().max(ENVELOPE_CHARS_MAX),
});
export type ExportLine = z.infer<typeof exportLine>;

/** The newest cosigned checkpoint of a ledger, a C2SP note; these come after the ledgers, before the histories of keys. */
export const checkpointLine = z.strictObject({ checkpoint: z.string().min(1).max(NOTE_CHARS_MAX) });

/** Two checkpoints for each peer; more is a flood. */
export const EXPORT_NOTES_MAX = 2_048;

/** One line, in bytes: the largest envelope in base64, with both names around it. */
export const EXPORT_LINE_BYTES_MAX = 131_072;
