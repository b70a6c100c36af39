import { randomBytes, randomUUID } from 'node:crypto';
import { artifactId, type Digest, digest, epoch, keyId, migrationId, timestamp, trustDomain, uuidv7, vmId } from '@carnet/events';
import { beforeAll, describe, expect, it } from 'vitest';
import { fromBase64, joinSecret, toBase64, wiper } from '../bytes.ts';
import { type BoundKey, boundKeyOf, depositContext, type Handover, keyContext, releaseAad } from '../context.ts';
import { keyRoot } from './custody.ts';
import { checkValueOf, commitOf, DEK_INFO, KREL_INFO, sealDeposit, UNUSED_EXPORT, wrappingKeyOf } from './deposit.ts';
import { createDek, createKek, openDek, tenant } from './hierarchy.ts';
import { HYBRID, sealBase } from './hpke.ts';
import { createMigrationKey, openRelease } from './import.ts';
import { keyWrap } from './wrap.ts';

// What only a source with the true context can try: a release that opens, with something else inside.
const root = keyRoot(randomBytes(32));
const custody = { root };
const keks = [createKek(root, { tenant: tenant.parse('t'), version: 1 }, randomBytes)];
const some = (): Digest => digest.parse(randomBytes(32).toString('hex'));
const bound: BoundKey = {
  key: keyId.parse(randomUUID()),
  version: 1,
  artifact: artifactId.parse(randomUUID()),
  kind: 'disk',
  derivation: 'luks-passphrase-hex',
  capacityBytes: 4_096,
};
const own = { tenant: tenant.parse('t'), keks };
const attempt = { migration: migrationId.parse(uuidv7(1, randomBytes(10))), epoch: epoch.parse(1) };

async function prepare() {
  const pair = await createMigrationKey(custody, { ...own, attempt, kem: HYBRID, at: '2026-11-23T10:00:00.000Z' }, randomBytes);
  const dek = await createDek(custody, keks, { tenant: own.tenant, key: bound.key, version: 1, arrival: 0 }, randomBytes);
  if (!pair.ok || !dek.ok) throw new Error('not prepared');
  const handover: Handover = {
    ...attempt,
    vm: vmId.parse(`csp-a.example/${randomUUID()}`),
    source: trustDomain.parse('csp-a.example'),
    target: trustDomain.parse('csp-b.example'),
    intent: some(),
    offer: some(),
    agreed: some(),
    publicKey: pair.value.publicKey,
    notAfter: timestamp.parse('2026-11-23T12:00:00.000Z'),
  };
  const honest = await sealDeposit(custody, { ...own, handover, keys: [{ bound, dek: dek.value }] }, randomBytes);
  if (!honest.ok) throw new Error(honest.code);
  return { handover, privateKey: pair.value.privateKey, deposit: honest.value, dek: dek.value };
}

let set: Awaited<ReturnType<typeof prepare>>;
beforeAll(async () => {
  set = await prepare();
});

/** A deposit made by hand under `krel`, and a release with `content`. */
async function lie(parts: {
  readonly committed: Buffer;
  readonly wrapping: Buffer;
  readonly released: Buffer;
  readonly content: (dek: Buffer, c: Buffer) => readonly Buffer[];
}) {
  using wipe = wiper();
  const { handover, privateKey } = set;
  const dek = await openDek(custody, keks, set.dek, wipe);
  if (!dek.ok) throw new Error(dek.code);
  const c = keyContext(handover, bound);
  const publicKey = fromBase64(handover.publicKey);
  const to = { publicKey, info: Buffer.concat([DEK_INFO, c]), aad: c, exporterContext: UNUSED_EXPORT };
  const sealed = await sealBase(to, keyWrap(wrappingKeyOf(parts.wrapping, bound.key), dek.value));
  const roots = [{ artifact: bound.artifact, root: some() }];
  const acknowledged = some();
  const whole = depositContext(handover, [bound]);
  const release = await sealBase(
    {
      publicKey,
      info: Buffer.concat([KREL_INFO, whole]),
      aad: releaseAad(whole, roots, acknowledged),
      exporterContext: UNUSED_EXPORT,
    },
    joinSecret([parts.released, ...parts.content(dek.value, c)]),
  );
  if (sealed === undefined || release === undefined) throw new Error('not sealed');
  const keys = [{ ...bound, enc: toBase64(sealed.enc), ct: toBase64(sealed.ct) }];
  const commit = commitOf(whole, parts.committed);
  const input = {
    ...own,
    handover,
    keys,
    privateKey,
    roots,
    acknowledged,
    commit,
    enc: toBase64(release.enc),
    ct: toBase64(release.ct),
  };
  return openRelease(custody, input, randomBytes);
}

const krel = randomBytes(32);
const other = randomBytes(32);
const honest = { committed: krel, wrapping: krel, released: krel, content: (dek: Buffer, c: Buffer) => [checkValueOf(dek, c)] };

describe('a source that lies inside a valid ciphertext', () => {
  it('(the honest one opens)', async () => {
    expect(await lie(honest)).toMatchObject({ ok: true, value: [{ key: bound.key, arrival: 1 }] });
  });
  it.each([
    ['another Krel than committed to', 'COMMIT_MISMATCH', { ...honest, released: other }],
    ['a commit to another Krel', 'COMMIT_MISMATCH', { ...honest, committed: other }],
    ['a key wrapped under another Krel', 'KEY_UNWRAP_FAILED', { ...honest, wrapping: other }],
    [
      'a check value of another key',
      'CHECK_VALUE_MISMATCH',
      { ...honest, content: (_dek: Buffer, c: Buffer) => [checkValueOf(other, c)] },
    ],
    [
      'a check value under another context',
      'CHECK_VALUE_MISMATCH',
      { ...honest, content: (dek: Buffer) => [checkValueOf(dek, other)] },
    ],
    ['no check value', 'RELEASE_INCOMPLETE', { ...honest, content: () => [] }],
    ['one check value too many', 'RELEASE_INCOMPLETE', { ...honest, content: () => [Buffer.alloc(32), Buffer.alloc(32)] }],
  ])('%s → %s', async (_name, code, parts) => {
    expect(await lie(parts)).toMatchObject({ ok: false, code });
  });
  it('has made a deposit from which nothing but 56 bytes of ciphertext for each key can be read', () => {
    expect(set.deposit.keys.map(boundKeyOf)).toEqual([bound]);
    expect(set.deposit.keys.map(({ ct }) => fromBase64(ct).length)).toEqual([56]);
  });
});
