import { artifactId, code, keyId, text } from '@carnet/events';
import { z } from 'zod';
import { SEALED_SECRET_CHARS_MAX } from '../limits.ts';

/** One command's identity, chosen by the broker: any UUID of RFC 9562. */
export const commandId = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  .brand<'CommandId'>();
export type CommandId = z.infer<typeof commandId>;

/**
 * One key, sealed to the agent's transport key (announced in its hello). `sealed` is opaque here: the key manager's blob in
 * base64, opened by the port `SecretOpener` with `hostSecretContext` as context, so it serves one VM on one host only.
 */
export const sealedSecret = z
  .strictObject({
    key: keyId,
    sealed: z
      .string()
      .max(SEALED_SECRET_CHARS_MAX)
      .regex(/^[A-Za-z0-9+/]*={0,2}$/),
  })
  .readonly();
export type SealedSecret = z.infer<typeof sealedSecret>;

/** The saved memory of a suspended VM and the key that seals it: 32 bytes, for the chunked AES-256-GCM stream. */
export const memorySecret = z.strictObject({ artifact: artifactId, secret: sealedSecret }).readonly();
export type MemorySecret = z.infer<typeof memorySecret>;

/** An image's name in the host's store. */
export const imageName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/);

/** A name inside the host's own import folder; never a path. */
export const importName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);

export const setbackFields = { code, text } as const;
