import { digest, proofFile, seq, timestamp, trustDomain } from '@carnet/events';
import { PROOF_CODES } from '@carnet/trust';
import { z } from 'zod';

const differs = { seq, held: digest, told: digest };
const code = z.enum(Object.keys(PROOF_CODES) as [keyof typeof PROOF_CODES, ...(keyof typeof PROOF_CODES)[]]);

/** What `carnet-audit proof --json` prints. */
export const proofVerdict = z
  .strictObject({
    carnet: z.literal('proof-verdict'),
    v: z.literal(1),
    asOf: timestamp,
    convinces: z.boolean(),
    /** By the file's own word, until `convinces`. */
    accused: trustDomain.optional(),
    audience: trustDomain.optional(),
    claim: proofFile.unwrap().shape.code.optional(),
    /** SHA-256 of what the accused should not have signed. */
    statement: digest.optional(),
    contradiction: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('two-events'), ...differs }),
        z.strictObject({ kind: z.literal('another-past'), ...differs }),
        z.strictObject({ kind: z.literal('false-head'), ...differs, at: timestamp }),
        z.strictObject({ kind: z.literal('false-checkpoint'), size: z.int(), held: digest, told: digest, at: timestamp }),
        z.strictObject({ kind: z.literal('unknown-cause'), seq, cause: digest, shown: z.int() }),
      ])
      .optional(),
    signedBy: z
      .array(z.strictObject({ keyid: digest, introducedAt: timestamp }))
      .readonly()
      .optional(),
    refusal: z.strictObject({ code, text: z.string(), expected: z.string().optional(), got: z.string().optional() }).optional(),
  })
  .readonly();
export type ProofVerdict = z.infer<typeof proofVerdict>;
