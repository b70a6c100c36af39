import { type Timestamp, timestamp } from '@carnet/events';
import { z } from 'zod';

/**
 * What a caller showed, as far as it can be asked again whether it is still good. `leaf`: base64 DER. A token of an identity provider, or of
 * Keystone, says its own end and nothing after it.
 */
export const credential = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('certificate'), leaf: z.base64().min(1) }).readonly(),
  z.strictObject({ kind: z.literal('api-key'), id: z.string().min(1) }).readonly(),
  z.strictObject({ kind: z.literal('token'), endsAt: timestamp }).readonly(),
]);
export type Credential = z.infer<typeof credential>;

/** The last moment that a timestamp can name, ms: a token may say that it ends later. */
const NEVER_MS = Date.UTC(9999, 11, 31);
/** A token that says so of itself; what is no time has passed. */
export const tokenEnding = (endsAtMs: number): Credential => ({
  kind: 'token',
  endsAt: timestamp.parse(new Date(Math.min(Number.isNaN(endsAtMs) ? 0 : endsAtMs, NEVER_MS)).toISOString()),
});

export interface CredentialPorts {
  readonly identify: (leaf: string) => { readonly spiffeId: string } | undefined;
  readonly isActive: (apiKeyId: string) => Promise<boolean>;
  readonly now: () => Timestamp;
}

/** Whether a credential that was shown to this CSP by that principal would still be taken. */
export type IsStillGood = (principal: string, shown: Credential) => Promise<boolean>;

export const stillGood =
  ({ identify, isActive, now }: CredentialPorts): IsStillGood =>
  async (principal, shown) => {
    switch (shown.kind) {
      case 'certificate':
        return identify(shown.leaf)?.spiffeId === principal;
      case 'api-key':
        return isActive(shown.id);
      case 'token':
        return now() < shown.endsAt;
    }
  };
