import { tenant } from '@carnet/keys';
import { role } from '@carnet/policy';
import { z } from 'zod';
import { address } from '../keys/key-config.ts';
import { KEYSTONE_NAMES_MAX } from './limits.ts';

const few = (named: Readonly<Record<string, unknown>>): boolean => Object.keys(named).length <= KEYSTONE_NAMES_MAX;
/** An id becomes part of a principal, which policies compare. */
export const keystoneId = z.string().regex(/^[A-Za-z0-9-]{1,64}$/);

/** Where a project's users are not bound to one project here. */
export const WHOLE_CSP = '*';

/** `[tokens.keystone]`: whose users may call with their own tokens, and as what. */
export const keystoneConfig = z.strictObject({
  /** Where it answers, without `/v3`. */
  url: address,
  /** PEM of a private CA. */
  caFile: z.string().min(1).optional(),
  /** An application credential of the broker's own, with the role `service`: who else may ask about other people's tokens. */
  credentialId: z.string().min(1).max(64),
  credentialSecretFile: z.string().min(1),
  /** Keystone's role → what it may be here. Administrators come with certificates: a Keystone must not make them. */
  roles: z
    .record(
      z.string().min(1).max(255),
      z
        .array(role.exclude(['administrator']))
        .min(1)
        .max(role.options.length)
        .readonly(),
    )
    .refine(few, `at most ${KEYSTONE_NAMES_MAX}`),
  /**
   * Keystone's project, by id → the project here, whose keys its users may read; `*`: they are users of the whole CSP. Users of other
   * projects are refused.
   */
  projects: z.record(keystoneId, z.union([tenant, z.literal(WHOLE_CSP)])).refine(few, `at most ${KEYSTONE_NAMES_MAX}`),
});
export type KeystoneConfig = z.infer<typeof keystoneConfig>;
