import { hostName, timestamp } from '@carnet/events';
import { createMetrics } from '@carnet/runtime';
import { beforeAll, describe, expect, it } from 'vitest';
import { type CertificatePorts, certificateRows, meterCertificates } from './certificates.ts';
import { A, B, type Certified, certified } from './perform/testing/certified.ts';

let pki: Certified;
/** The newest first. */
let introduced: readonly (readonly string[])[];
beforeAll(async () => {
  pki = await certified();
  introduced = [chainOf(B, 'broker'), chainOf(A, 'broker')];
}, 120_000);

const chainOf = (domain: typeof A, name: string): readonly string[] => pki.leafOf(domain, name).chain;
const portsAt = (nowMs: number): CertificatePorts => ({
  self: A,
  leaf: { chain: chainOf(A, 'broker') },
  trust: () => pki.trust,
  hosts: [hostName.parse('host-1'), hostName.parse('silent')],
  hello: (host) => (host === 'host-1' ? { chain: [...chainOf(A, 'agent-host-1')] } : undefined),
  journal: { peers: [B], introductions: async () => introduced },
  nowMs: () => nowMs,
  now: () => timestamp.parse(new Date(nowMs).toISOString()),
});

describe('certificateRows', () => {
  it('names everything that ends, with days left', async () => {
    const rows = await certificateRows(portsAt(Date.now()));
    const shown = rows.map(({ kind, name, standing }) => [kind, kind === 'root' ? '' : name, standing]);
    expect(shown).toEqual([
      ['root', '', 'good'],
      ['issuer', A, 'good'],
      ['broker', `spiffe://${A}/broker`, 'good'],
      ['agent', `spiffe://${A}/agent/host-1`, 'good'],
      ['peer-issuer', B, 'good'],
      ...(await certificateRows(portsAt(Date.now()))).slice(5).map(({ kind, name }) => [kind, name, 'good']),
    ]);
    expect(
      rows
        .filter(({ kind }) => kind === 'crl')
        .map(({ name }) => name)
        .sort(),
    ).toEqual([A, B, 'root']);
    expect(rows.find(({ kind }) => kind === 'broker')?.daysLeft).toBeGreaterThan(0);
  });

  it('names who signs for a peer by its last introduction; nobody for one that has not come yet', async () => {
    const serials = async (introductions: readonly (readonly string[])[]): Promise<readonly string[]> => {
      const ports = { ...portsAt(Date.now()), journal: { peers: [B], introductions: async () => introductions } };
      return (await certificateRows(ports)).flatMap(({ kind, serial }) => (kind === 'peer-issuer' ? [serial] : []));
    };
    const [newest, before] = await Promise.all([serials(introduced), serials(introduced.toReversed())]);
    expect(newest).toHaveLength(1);
    expect(before).toHaveLength(1);
    expect(newest).not.toEqual(before);
    expect(await serials([])).toEqual([]);
  });

  it('says what is over, with its code', async () => {
    const rows = await certificateRows(portsAt(Date.now() + 20 * 365 * 86_400_000));
    const standings = new Map(rows.map(({ kind, standing }) => [kind, standing]));
    expect(standings.get('broker')).toBe('EXPIRED');
    expect(standings.get('crl')).toBe('CRL_STALE');
    expect(standings.get('peer-issuer')).toBe('EXPIRED');
  });

  it('is a metric, asked for at each scrape', async () => {
    const metrics = createMetrics();
    meterCertificates(metrics, () => certificateRows(portsAt(Date.now())));
    const text = await metrics.registry.metrics();
    expect(text).toMatch(/carnet_certificate_not_after_timestamp_seconds\{kind="broker",name="spiffe:\/\/[^"]+"\} \d{10}/);
    expect(text).toContain('kind="crl",name="root"');
  });
});
