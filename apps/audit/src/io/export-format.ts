import { digest, EVENT_BYTES_MAX, NOTE_CHARS_MAX, timestamp, trustDomain } from '@carnet/events';
import { chainedLine } from '@carnet/keys';
import { z } from 'zod';

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

/** A line of the history of one of the CSP's own keys; these come after the ledgers. */
export const keyHistoryLine = z.strictObject({ keyHistory: chainedLine });

/** The newest cosigned checkpoint of a ledger, a C2SP note; these come after the ledgers, before the histories. */
export const checkpointLine = z.strictObject({ checkpoint: z.string().min(1).max(NOTE_CHARS_MAX) });

/** `undefined`: no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // what is no JSON matches no schema: the caller names the line
  }
}
