import { z } from 'zod';
import { EVENT_BYTES_MAX, PROOF_EVENTS_MAX } from './limits.ts';
import { base64, trustDomain } from './scalars.ts';

/** An envelope in base64, larger than an event may be: whoever judges it says so with a code of its own. */
const envelope = base64.max(EVENT_BYTES_MAX * 2);
const events = z.array(envelope).max(PROOF_EVENTS_MAX).readonly();

/**
 * What convicts a CSP, in one file for whoever has nothing but the federation root. `accused` is whose signature stands under `statement`: an
 * event, or a message between peers, that does not fit what else is shown. Nothing here is believed because it is written here.
 */
export const proofFile = z
  .strictObject({
    carnet: z.literal('proof'),
    v: z.literal(1),
    accused: trustDomain,
    /** To whom it was said. */
    audience: trustDomain,
    code: z.enum(['LEDGER_FORK', 'CAUSE_UNKNOWN']),
    statement: envelope,
    /** Of the accused's ledger to the audience: what the statement contradicts, and what introduced the keys that signed both. */
    accusedEvents: events,
    /** The audience's ledger to the accused, whole, if the statement relies on what is not in it. */
    audienceEvents: events,
    /** The accused's last signed head: how far it holds the audience's ledger by its own word. */
    acknowledgement: envelope.optional(),
  })
  .readonly();
export type ProofFile = z.infer<typeof proofFile>;
