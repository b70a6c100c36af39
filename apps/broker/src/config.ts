import { hostName, rekeyMethod, trustDomain } from '@carnet/events';
import { LOG_LEVELS } from '@carnet/runtime';
import { z } from 'zod';
import { keysConfig } from './keys/key-config.ts';
import { profile } from './keys/profiles.ts';
import { doorUrl } from './peering/invitation.ts';
import { network } from './peers/data-paths.ts';
import { issuerConfig } from './users/issuers.ts';
import { keystoneConfig } from './users/keystone-config.ts';

const path = z.string().min(1);
const port = z.int().min(0).max(65_535);

const settings = z.strictObject({
  /** This CSP's trust domain. */
  domain: trustDomain,
  /** Fsynced heads, and the embedded database when no URL is given. Outside the database's own storage. */
  stateDirectory: path,
  database: z
    .strictObject({
      /** postgres://… ; else `CARNET_DATABASE_URL`; else an embedded database in `stateDirectory` (which does not fsync). */
      url: z.string().startsWith('postgres').optional(),
    })
    .prefault({}),
  identity: z.strictObject({
    /** The broker's X.509 leaf and intermediate, PEM, leaf first. */
    certificateFile: path,
    keyFile: path,
    /** Ed25519 event-signing key, PKCS#8 PEM. Read again when it changes: the same file at every replica within ten minutes. */
    eventKeyFile: path,
  }),
  /**
   * Where the leaf is renewed, after two thirds of its life: `carnet authority serve` of this CSP, or any EST server (RFC 7030)
   * whose certificate names `spiffe://<domain>/server/issuer`. Absent: by other means. New files are taken into use either way.
   */
  renewal: z.strictObject({ url: z.string().startsWith('https://') }).optional(),
  trust: z.strictObject({
    rootFile: path,
    /** DER CRLs of the root and of every intermediate; read again when one changes. With `renewal` our own is written here. */
    crlDirectory: path,
  }),
  /** `url`: every server of the bus, with commas between, or the CSP's own; `domain`: whose it is; `serverName`: DNS name in its certificate. */
  bus: z.strictObject({
    url: z.string().regex(/^tls:\/\/[^\s,]+(,tls:\/\/[^\s,]+)*$/, 'expected tls://host:port, several with commas between'),
    domain: trustDomain,
    serverName: z.string().min(1),
  }),
  peers: z
    .array(
      z.strictObject({
        domain: trustDomain,
        /** Networks (CIDR) in which this peer's agents may serve images: ours dial nothing else. Absent: any public address. */
        dataPaths: z.array(network).max(64).default([]),
      }),
    )
    .max(64)
    .default([]),
  /** Further peers, by invitation (`carnet peer invite`, `join`, `confirm`): they stand in the database. */
  peering: z
    .strictObject({
      /** Where CSPs that were invited answer; `url` is its address in invitations. Absent: this broker joins others, and invites nobody. */
      door: z.strictObject({ address: z.string().default('127.0.0.1'), port, url: doorUrl }).optional(),
      /** Who confirms a peer here: any administrator, or another than who invited or joined. */
      confirmedBy: z.enum(['anyone', 'another']).default('anyone'),
    })
    .prefault({}),
  /** Where keys are kept, and what wraps them. */
  keys: keysConfig,
  hosts: z
    .array(z.strictObject({ name: hostName }))
    .min(1)
    .max(1_000),
  /** The door for client certificates of this CSP. */
  http: z.strictObject({ address: z.string().default('127.0.0.1'), port }),
  /** A second door for bearer tokens: API keys (`carnet apikey`) and those of identity providers. Absent: certificates only. */
  tokens: z
    .strictObject({
      address: z.string().default('127.0.0.1'),
      port,
      issuers: z
        .array(issuerConfig)
        .max(16)
        .refine((all) => new Set(all.map(({ issuer }) => issuer)).size === all.length, 'one entry for each issuer')
        .default([]),
      /** A Keystone whose users may call with their tokens. */
      keystone: keystoneConfig.optional(),
    })
    .optional(),
  /** `/livez`, `/readyz`, `/metrics` in plain HTTP: keep it on loopback or behind a firewall. */
  ops: z.strictObject({ address: z.string().default('127.0.0.1'), port }),
  /** The folder of the policy set: `set.json`, `entities.json`, `*.cedar`. Read once, at the start. */
  policy: z.strictObject({ directory: path }),
  /**
   * Re-keying on arrival, whatever a request asks. `arriving`: the least that this CSP does to volumes that come here. `leaving`:
   * the least that a peer must do to those that go; an offer of less is void.
   */
  rekey: z.strictObject({ arriving: rekeyMethod.default('none'), leaving: rekeyMethod.default('none') }).prefault({}),
  /**
   * What keys are sealed to on their way. `arriving`: what is offered for those that come here; `hsm` needs `keys.backend = "pkcs11"`.
   * `leaving`: what a peer may offer for those that go.
   */
  profile: z
    .strictObject({ arriving: profile.default('hybrid'), leaving: z.array(profile).min(1).readonly().default(['hybrid']) })
    .prefault({}),
  migration: z
    .strictObject({
      /** How long an intent waits for an offer. */
      offerSeconds: z.int().min(1).max(86_400).default(60),
      /** Before release, either side gives up after this long. */
      deadlineSeconds: z.int().min(10).max(604_800).default(3_600),
      /** A guest asked to shut down for a cold move gets this long before its power is cut. */
      graceSeconds: z.int().min(0).max(600).default(60),
      /** Offers that one peer may leave unanswered; beyond, what it asks is refused (`OFFERS_UNANSWERED`). More than an honest one asks for at once. */
      unansweredOffers: z.int().min(1).max(10_000).default(256),
      /** How long the target waits after `VmHealthy` before `MigrationFinalized`. */
      rollbackWindowSeconds: z.int().min(0).max(604_800).default(300),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default('info') }).prefault({}),
});
/** The broker's configuration file (TOML). Secrets stand behind paths, never in it. */
export const brokerConfig = settings.refine(
  ({ profile: { arriving }, keys }) => arriving !== 'hsm' || keys.backend === 'pkcs11',
  {
    error: 'hsm needs keys.backend = "pkcs11": the private key stays in the token',
    path: ['profile', 'arriving'],
  },
);
export type BrokerConfig = z.infer<typeof brokerConfig>;
