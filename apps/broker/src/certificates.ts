import type { HostName, Timestamp } from '@carnet/events';
import type { Hello } from '@carnet/hypervisor';
import type { Journal } from '@carnet/journal';
import { type Certificate, type OwnLeaf, readCertificate, readCrl, type TrustStore, validatePath } from '@carnet/pki';
import { type Metrics, scrapedGauge } from '@carnet/runtime';

/** A certificate or CRL that this broker relies on. Times are ISO 8601. */
export interface CertificateRow {
  readonly kind: 'root' | 'issuer' | 'broker' | 'agent' | 'peer-issuer' | 'crl';
  /** A SPIFFE id, a domain, or for a root the fingerprint. */
  readonly name: string;
  /** Serial number; of a CRL its own number. */
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly daysLeft: number;
  /** `good`, or the code of its refusal. */
  readonly standing: string;
}

export interface CertificatePorts {
  readonly self: string;
  readonly leaf: Pick<OwnLeaf, 'chain'>;
  readonly trust: () => TrustStore;
  readonly hosts: readonly HostName[];
  readonly hello: (host: HostName) => Pick<Hello, 'chain'> | undefined;
  readonly journal: Pick<Journal, 'peers' | 'introductions'>;
  readonly nowMs: () => number;
  readonly now: () => Timestamp;
}

const DAY_MS = 86_400_000;

/** Everything that ends some day: our own chain, our hosts', our peers' issuers, and the revocation lists. */
export async function certificateRows(ports: CertificatePorts): Promise<readonly CertificateRow[]> {
  const { leaf, trust, hosts, hello, nowMs } = ports;
  const standing = standingOf(ports);
  const own = leaf.chain.flatMap(parsed);
  const issuers = own.slice(1);
  const rows = [
    ...trust()
      .roots.flatMap((der) => read(der))
      .map((root) => rowOf('root', root.digest, root, 'good', nowMs())),
    ...issuers.map((issuer) => rowOf('issuer', ports.self, issuer, standing(leaf.chain), nowMs())),
    ...own.slice(0, 1).map((one) => rowOf('broker', idOf(one), one, standing(leaf.chain), nowMs())),
    ...hosts.flatMap((host) => {
      const chain = hello(host)?.chain ?? [];
      return chain
        .slice(0, 1)
        .flatMap(parsed)
        .map((one) => rowOf('agent', idOf(one), one, standing(chain), nowMs()));
    }),
  ];
  const peers = await peerIssuers(ports);
  const named = [
    ...trust()
      .roots.flatMap(read)
      .map(({ subject }) => [subject, 'root'] as const),
    ...issuers.map(({ subject }) => [subject, ports.self] as const),
    ...peers.map(({ issuer, row }) => [issuer.subject, row.name] as const),
  ];
  return [...rows, ...peers.map(({ row }) => row), ...crlRows(ports, new Map(named))];
}

const read = (der: Uint8Array): readonly Certificate[] => {
  const certificate = readCertificate(der);
  return certificate.ok ? [certificate.value] : [];
};
const parsed = (base64: string): readonly Certificate[] => read(Uint8Array.from(Buffer.from(base64, 'base64')));
const idOf = ({ names }: Certificate): string => names.flatMap((name) => (name.kind === 'uri' ? [name.text] : []))[0] ?? '';

const standingOf =
  ({ trust, now }: CertificatePorts) =>
  (chain: readonly string[]): string => {
    const path = validatePath({ ...trust(), chain, at: now() });
    return path.ok ? 'good' : path.code;
  };

function rowOf(
  kind: CertificateRow['kind'],
  name: string,
  { serial, notBeforeMs, notAfterMs }: Pick<Certificate, 'serial' | 'notBeforeMs' | 'notAfterMs'>,
  standing: string,
  nowMs: number,
): CertificateRow {
  const time = (ms: number): string => new Date(ms).toISOString();
  const daysLeft = Math.floor((notAfterMs - nowMs) / DAY_MS);
  return { kind, name, serial, notBefore: time(notBeforeMs), notAfter: time(notAfterMs), daysLeft, standing };
}

/** Who signs for a peer now, as its ledger introduced it last. Its leaves are its own to renew: what they were worth is judged at each use. */
async function peerIssuers({ journal, nowMs }: CertificatePorts) {
  const found = await Promise.all(
    journal.peers.map(async (peer) => {
      const [newest = []] = await journal.introductions(peer);
      return newest
        .slice(1)
        .flatMap(parsed)
        .map((issuer) => {
          const standing = nowMs() < issuer.notAfterMs ? 'good' : 'EXPIRED';
          return { issuer, row: rowOf('peer-issuer', peer, issuer, standing, nowMs()) };
        });
    }),
  );
  return found.flat();
}

/** A list that went stale stops everything that its issuer signed, so it is shown as what ends next. */
function crlRows({ trust, nowMs }: CertificatePorts, names: ReadonlyMap<string, string>): readonly CertificateRow[] {
  const newest = new Map<string, { readonly number: bigint; readonly row: CertificateRow }>();
  for (const der of trust().crls) {
    const crl = readCrl(der);
    if (!crl.ok) continue;
    const { issuer, number, thisUpdateMs, nextUpdateMs = thisUpdateMs } = crl.value;
    const name = names.get(issuer);
    if (name === undefined || (newest.get(issuer)?.number ?? -2n) > number) continue;
    const standing = nowMs() < nextUpdateMs ? 'good' : 'CRL_STALE';
    const life = { serial: String(number), notBeforeMs: thisUpdateMs, notAfterMs: nextUpdateMs };
    newest.set(issuer, { number, row: rowOf('crl', name, life, standing, nowMs()) });
  }
  return [...newest.values()].map(({ row }) => row);
}

/** Says when each ends, for alarms. */
export const meterCertificates = (metrics: Metrics, rows: () => Promise<readonly CertificateRow[]>): void =>
  scrapedGauge(
    metrics,
    {
      name: 'carnet_certificate_not_after_timestamp_seconds',
      help: 'When a certificate ends, or a revocation list is stale',
      labelNames: ['kind', 'name'],
    },
    async () =>
      (await rows()).map(({ kind, name, notAfter }) => ({ labels: { kind, name }, value: Date.parse(notAfter) / 1_000 })),
  );
