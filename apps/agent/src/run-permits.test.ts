import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { spiffeId, timestamp, vmId } from '@carnet/events';
import { hostPaths, memoryFiles } from '@carnet/hypervisor';
import { createCrl, issueLeaf, leafSigner, readCertificate, type TrustStore } from '@carnet/pki';
import { afterAll, describe, expect, it } from 'vitest';
import { openKeptPermit, permitsOnDisk } from './run-permits.ts';
import { brokerSigner, permitBy } from './testing/permitting.ts';
import { A, B, HOST, twoCsps } from './testing/two-csps.ts';

const { dir, pki, member, remove } = await twoCsps('permits');
afterAll(remove);
const DAY_MS = 86_400_000;
/** Lists of one issuer that were fresh between these times. */
const list = (
  authority: Parameters<typeof createCrl>[0],
  number: number,
  revoked: readonly string[],
  fromMs: number,
  toMs: number,
) =>
  createCrl(authority, {
    number,
    thisUpdateMs: Date.now() + fromMs,
    nextUpdateMs: Date.now() + toMs,
    revoked: revoked.map((serial) => ({ serial, atMs: Date.now(), reason: 'keyCompromise' as const })),
  });
const storeWith = (revoked: readonly string[] = [], fromMs = -60_000, toMs = 3_600_000): TrustStore => ({
  roots: [pki.root.certificate],
  crls: [
    list(pki.root, 1, [], fromMs, toMs),
    list(member(A).authority, 2, revoked, fromMs, toMs),
    list(member(B).authority, 1, [], fromMs, toMs),
  ],
});

const SELF = { domain: A, host: HOST };
const VM = vmId.parse('csp-a.example/33333333-3333-4333-8333-333333333333');
const SAID = { host: HOST, vm: VM, epoch: 3 };
const chainOf = (domain: typeof A, name = 'broker.pem'): readonly string[] =>
  [...readFileSync(join(dir, domain, name), 'utf8').matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END/g)].map(
    ([, text = '']) => text.replaceAll(/\s/g, ''),
  );
const signer = brokerSigner(dir, A);
const permit = permitBy(signer, SAID);
const file = (more: object = {}): Uint8Array => Buffer.from(JSON.stringify({ permit, chain: chainOf(A), ...more }));
const said = (bytes: Uint8Array, store: TrustStore = storeWith()): string => {
  const opened = openKeptPermit(bytes, SELF, store);
  return opened.ok ? 'ok' : opened.setback.code;
};
const serial = (() => {
  const leaf = readCertificate(Uint8Array.from(Buffer.from(chainOf(A)[0] ?? '', 'base64')));
  if (!leaf.ok) throw new Error(leaf.text);
  return leaf.value.serial;
})();

describe('a kept permit', () => {
  it('says what our broker signed; fields that this version does not know do not stop it', () => {
    expect(openKeptPermit(file(), SELF, storeWith())).toMatchObject({ ok: true, value: SAID });
    const later = permitBy(signer, Object.assign({ project: 'x' }, SAID));
    expect(said(file({ permit: later, since: 'then' }))).toBe('ok');
  });

  it('of another broker, of another leaf of ours, under another chain, altered, of another kind: none', () => {
    const operator = leafSigner(
      readFileSync(join(dir, A, 'operator.key'), 'utf8'),
      Uint8Array.from(Buffer.from(chainOf(A, 'operator.pem')[0] ?? '', 'base64')),
    );
    const altered = {
      ...permit,
      payload: Buffer.from(JSON.stringify({ ...SAID, epoch: 4, time: '2026-11-28T10:00:00.000Z' })).toString('base64'),
    };
    for (const wrong of [
      file({ permit: permitBy(brokerSigner(dir, B), SAID), chain: chainOf(B) }),
      file({ permit: permitBy(operator, SAID), chain: chainOf(A, 'operator.pem') }),
      file({ chain: chainOf(B) }),
      file({ chain: [] }),
      file({ permit: altered }),
      file({ permit: { ...permit, payloadType: 'application/vnd.carnet.command.v1+json' } }),
      file({ permit: permitBy(signer, { host: HOST, vm: 'VM', epoch: 3 }) }),
      file().subarray(0, 300),
      Buffer.alloc(0),
    ])
      expect(said(wrong)).toBe('RUN_PERMIT_INVALID');
  });

  it('outlives its broker’s leaf, and the lists that were fresh when it came', () => {
    expect(said(file(), storeWith([], -DAY_MS, -DAY_MS / 2))).toBe('ok');
    // A clock that a reboot set back to its beginning stops no VM, either.
    expect(said(file(), storeWith([], DAY_MS, 2 * DAY_MS))).toBe('ok');
    const key = pki.root.keys;
    const leaf = issueLeaf(member(A).authority, {
      notBeforeMs: Date.now() - 3_600_000,
      notAfterMs: Date.now() - 30_000,
      profile: 'broker',
      spiffeId: spiffeId.parse(`spiffe://${A}/broker`),
      dnsNames: [],
      publicKey: key.publicKey,
      random: randomBytes,
    });
    const ended = leafSigner(key.privateKey, leaf.certificate);
    const chain = [Buffer.from(leaf.certificate).toString('base64'), ...chainOf(A).slice(1)];
    const thenMs = Date.now() - 60_000;
    expect(said(file({ permit: permitBy(ended, SAID, timestamp.parse(new Date(thenMs).toISOString())), chain }))).toBe('ok');
    expect(said(file({ permit: permitBy(ended, SAID), chain }))).toBe('RUN_PERMIT_INVALID');
  });

  it('of a revoked leaf is none, by a list of any age; without any list of an issuer nobody can know', () => {
    expect(said(file(), storeWith([serial]))).toBe('RUN_PERMIT_REVOKED');
    expect(said(file(), storeWith([serial], -DAY_MS, -DAY_MS / 2))).toBe('RUN_PERMIT_REVOKED');
    const { roots, crls } = storeWith();
    expect(said(file(), { roots, crls: crls.slice(0, 1) })).toBe('RUN_PERMIT_INVALID');
    expect(said(file(), { roots: [], crls })).toBe('RUN_PERMIT_INVALID');
  });
});

describe('keeping one', () => {
  const paths = hostPaths({ stateDir: '/s', volumesDir: '/v', tmpfsDir: '/t', bootDir: '/b', importDir: '/i', vtpmDir: '/p' });
  const world = () => {
    const files = memoryFiles({ tmpfs: [] });
    const known = { keys: (keyid: string) => (keyid === signer.keyid ? signerOf : undefined), chainOf: () => chainOf(A) };
    return { files, permits: permitsOnDisk({ self: SELF, files, paths, broker: known, store: () => storeWith() }) };
  };
  const signerOf = { verify: () => true };

  it('writes what the hook takes, and forgets it', async () => {
    const { files, permits } = world();
    expect(await permits.keep(permit, { vm: VM, epoch: 3 })).toMatchObject({ ok: true });
    expect(said((await files.read(paths.permit(VM))) ?? Buffer.alloc(0))).toBe('ok');
    await permits.forget(VM);
    expect(files.paths()).toEqual([]);
  });

  it('refuses what is for something else, or not signed by a broker of now, and keeps what there was', async () => {
    const { files, permits } = world();
    const other = vmId.parse('csp-a.example/44444444-4444-4444-8444-444444444444');
    for (const [wrong, of, code] of [
      [permit, { vm: VM, epoch: 4 }, 'RUN_PERMIT_MISMATCH'],
      [permit, { vm: other, epoch: 3 }, 'RUN_PERMIT_MISMATCH'],
      [permitBy(signer, { ...SAID, host: 'h2' }), { vm: VM, epoch: 3 }, 'RUN_PERMIT_MISMATCH'],
      [permitBy(brokerSigner(dir, B), SAID), { vm: VM, epoch: 3 }, 'RUN_PERMIT_INVALID'],
      [{ ...permit, signatures: [] }, { vm: VM, epoch: 3 }, 'RUN_PERMIT_INVALID'],
    ] as const)
      expect(await permits.keep(wrong, of)).toMatchObject({ ok: false, setback: { status: 'refused', code } });
    expect(files.paths()).toEqual([]);
  });
});
