import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { artifactId, epoch, hostName, migrationId, type TrustDomain, timestamp, trustDomain, vmId } from '@carnet/events';
import type { PullRequest } from '@carnet/hypervisor';
import * as images from '@carnet/images';
import { createCrl, createFederationPki, openLeaf, readCertificate, rememberedRsaKeys, type TrustStore } from '@carnet/pki';
import { afterAll, expect, it } from 'vitest';
import { systemClock } from './clock.ts';
import { type Carrier, manifestOf, openDataPath } from './data-path.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-path-'));
const [A, B] = [trustDomain.parse('csp-a.example'), trustDomain.parse('csp-b.example')];
const pki = await createFederationPki({
  dir,
  domains: [A, B].map((domain) => ({ domain, hosts: [hostName.parse('h1')] })),
  busDomain: trustDomain.parse('bus.example'),
  nowMs: Date.now(),
  random: randomBytes,
  keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
});
const good: TrustStore = {
  roots: [pki.root.certificate],
  crls: ['root', A, B].map((name) => new Uint8Array(readFileSync(join(dir, 'crls', `${name}.der`)))),
};

/** What is known once this CSP has revoked its agent. */
function revoking(domain: TrustDomain): TrustStore {
  const member = pki.members.get(domain);
  const leaf = readCertificate(member?.leaves.get('agent-h1')?.certificate ?? new Uint8Array());
  if (member === undefined || !leaf.ok) throw new Error(`no agent of ${domain}`);
  const [atMs, nextUpdateMs] = [Date.now(), Date.now() + 3_600_000];
  const revoked = [{ serial: leaf.value.serial, atMs, reason: 'keyCompromise' as const }];
  return {
    ...good,
    crls: [...good.crls, createCrl(member.authority, { number: 2, thisUpdateMs: atMs - 1_000, nextUpdateMs, revoked })],
  };
}

/** What data paths say of transfers that they served. */
const served: Record<string, unknown>[] = [];
const log = {
  debug: () => undefined,
  info: (fields: object) => void served.push({ ...fields }),
  warn: () => undefined,
  error: () => undefined,
};
const identityOf = (domain: TrustDomain) =>
  openLeaf({ certificateFile: join(dir, domain, 'agent-h1.pem'), keyFile: join(dir, domain, 'agent-h1.key') }, Date.now);
const open: Carrier[] = [];

async function endOf(domain: TrustDomain): Promise<{ readonly path: Carrier; readonly know: (store: TrustStore) => void }> {
  let store = good;
  const sharesDir = join(dir, `shares-${domain}`);
  mkdirSync(sharesDir, { recursive: true });
  const path = await openDataPath({
    identity: identityOf(domain),
    store: () => store,
    now: () => systemClock.now(),
    dataPath: { address: '127.0.0.1', port: 0, serverName: `h1.${domain}` },
    sharesDir,
    log,
  });
  open.push(path);
  return {
    path,
    know: (next) => {
      store = next;
    },
  };
}
afterAll(async () => {
  for (const path of open) await path.close();
  rmSync(dir, { recursive: true, force: true });
});

const [a, b] = [await endOf(A), await endOf(B)];
const of = {
  migration: migrationId.parse('01890000-0000-7000-8000-000000000000'),
  vm: vmId.parse(`${A}/6b1f0c9e-0000-4000-8000-000000000001`),
  epoch: epoch.parse(1),
  round: 0,
};
const artifact = artifactId.parse('6b1f0c9e-0000-4000-8000-000000000002');

async function share(): Promise<PullRequest> {
  const image = join(dir, 'image');
  writeFileSync(image, randomBytes(8_388_608));
  rmSync(manifestOf(image), { force: true });
  const sealed = await images.seal(image, { ...of, artifact, kind: 'disk', chunkBytes: 65_536 });
  if (!sealed.ok) throw new Error(sealed.code);
  const until = timestamp.parse(new Date(Date.now() + 600_000).toISOString());
  const peer = [...identityOf(B).chain];
  await a.path.serve({ of, artifacts: [{ sealed: sealed.value.sealed, path: image }], peer, until });
  return {
    of,
    sealed: sealed.value.sealed,
    from: await a.path.dataPath(),
    peer: identityOf(A).chain,
    into: join(dir, 'received'),
    // Sixteen seconds, if nothing ends it.
    rateBytesPerSecond: 524_288,
    onProgress: () => undefined,
    signal: new AbortController().signal,
  };
}

const CUT_OFF_MS_MAX = 10_000;

it.each([
  ['the target’s agent, known at the source', () => a, B],
  ['the source’s agent, known at the target', () => b, A],
] as const)(
  'a transfer under way ends when an agent is revoked: %s',
  async (_, where, whom) => {
    const request = await share();
    const begins = Promise.withResolvers<void>();
    const pulled = b.path.pull({ ...request, onProgress: () => begins.resolve() });
    await Promise.race([begins.promise, pulled]);
    served.length = 0;
    where().know(revoking(whom));
    try {
      // The source sends nothing more; what lies in the network's buffers still reaches an honest target.
      await expect.poll(() => served.map((one) => one['outcome']), { timeout: CUT_OFF_MS_MAX }).toHaveLength(1);
      expect(served).not.toMatchObject([{ outcome: 'complete' }]);
      expect((await pulled).ok).toBe(false);
      expect(existsSync(request.into)).toBe(false);
      // Asked again, it does not begin.
      expect((await b.path.pull({ ...request, rateBytesPerSecond: undefined })).ok).toBe(false);
    } finally {
      where().know(good);
    }
    expect(await b.path.pull({ ...request, rateBytesPerSecond: undefined })).toMatchObject({ ok: true });
    rmSync(request.into);
    rmSync(manifestOf(request.into), { force: true });
  },
  60_000,
);
