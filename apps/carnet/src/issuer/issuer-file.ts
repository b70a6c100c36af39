import { trustDomain } from '@carnet/events';
import { z } from 'zod';

const path = z.string().startsWith('/');

/** What a CSP's issuing service needs to know (TOML). */
export const issuerFile = z.strictObject({
  domain: trustDomain,
  /** The authority's directory, and what opens its key. */
  directory: path,
  passphraseFile: path,
  listen: z.strictObject({ address: z.string().default('127.0.0.1'), port: z.int().min(0).max(65_535) }),
  /** A leaf of profile `server` that names `spiffe://<domain>/server/issuer`; it renews itself. */
  identity: z.strictObject({ certificateFile: path, keyFile: path }),
  trust: z.strictObject({
    rootFile: path,
    /** The root's CRL at least; the authority's own is taken from its directory. */
    crlDirectory: path,
    /** Highest CRL numbers seen; this tool writes it. */
    marksFile: path,
  }),
  /** Days until a CRL is stale; a new one is made at half of that. */
  crlDays: z.int().min(1).max(365).default(7),
});
export type IssuerFile = z.infer<typeof issuerFile>;
