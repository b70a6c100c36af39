/** Extended key usages by the names that OID has them under. */
export type TlsUsage = 'serverAuth' | 'clientAuth';

const BOTH = ['serverAuth', 'clientAuth'] as const;
const CLIENT = ['clientAuth'] as const;

/** What a leaf of each role may do in TLS. Those that listen also dial: libvirt and nats-server want both from them. */
export const LEAF_PROFILES = {
  broker: BOTH,
  agent: BOTH,
  gateway: BOTH,
  server: BOTH,
  operator: CLIENT,
  scheduler: CLIENT,
  custodian: CLIENT,
  auditor: CLIENT,
} as const satisfies Readonly<Record<string, readonly TlsUsage[]>>;

export type LeafProfile = keyof typeof LEAF_PROFILES;
