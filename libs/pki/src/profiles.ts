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

/** One path segment after another: nothing that a file system or URL would take for something else. */
const SEGMENT = /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/;

/**
 * Whether an id is one of this role. A broker is the one `/broker` of its domain and an agent is `/agent/<host>`: those two are what
 * others rely on, so that no other profile may carry them, nor they another id.
 */
export function idFitsProfile(profile: LeafProfile, spiffeId: string): boolean {
  const [, , , first, ...rest] = spiffeId.split('/');
  if (first !== profile || !rest.every((one) => SEGMENT.test(one))) return false;
  switch (profile) {
    case 'broker':
      return rest.length === 0;
    case 'agent':
      return rest.length === 1;
    case 'gateway':
    case 'server':
    case 'operator':
    case 'scheduler':
    case 'custodian':
    case 'auditor':
      return rest.length <= 1;
  }
}
