import { type Digest, migrationMode, trustDomain } from '@carnet/events';
import { z } from 'zod';
import { PATTERN_CHARS_MAX, RULES_MAX } from './limits.ts';
import { role } from './roles.ts';

/** Text in which `*` stands for any number of characters but a slash, and `**` for any at all. Nothing else is special. */
const pattern = z
  .string()
  .min(1)
  .max(PATTERN_CHARS_MAX)
  .regex(/^[A-Za-z0-9:/._*-]+$/);

const grant = z.strictObject({ principal: pattern, roles: z.array(role).min(1).max(8).readonly() }).readonly();

const limits = z
  .strictObject({
    /** Of one VM. */
    memoryMiB: z.int().min(1).optional(),
    diskBytes: z.int().min(1).optional(),
    vcpus: z.int().min(1).optional(),
    /** Migrations open at once with one peer in this direction. */
    openPerPeer: z.int().min(1).optional(),
  })
  .readonly();

/** One permission: everything it names must match. What no rule allows is denied. */
const rule = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
    /** Trust domains of peers. */
    peers: z
      .array(z.union([trustDomain, z.literal('*')]))
      .min(1)
      .max(RULES_MAX)
      .readonly(),
    /** `<home domain>/<uuid>` patterns. */
    vms: z.array(pattern).min(1).max(RULES_MAX).readonly(),
    modes: z.array(migrationMode).min(1).readonly(),
    limits: limits.prefault({}),
  })
  .readonly();
export type Rule = z.infer<typeof rule>;

/** A CSP's whole policy, as its file says it. Both directions deny what they do not name. */
export const policySet = z
  .strictObject({
    version: z.int().min(1),
    grants: z.array(grant).max(RULES_MAX).readonly(),
    asSource: z.array(rule).max(RULES_MAX).readonly(),
    asTarget: z.array(rule).max(RULES_MAX).readonly(),
  })
  .readonly();
export type PolicySet = z.infer<typeof policySet>;

/** A set with the digest that decisions quote. The digest is the caller's to compute: this lib is pure. */
export type Policy = { readonly set: PolicySet; readonly digest: Digest };

/** One spelling of a set, whatever order and white space its file had: what the digest is taken over (RFC 8785 for our types). */
export const canonicalText = (set: PolicySet): string => JSON.stringify(sorted(set));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
