import { createECDH, randomUUID } from 'node:crypto';
import { artifactId, type DepositedKey, type EventData, epoch, keyId, timestamp, trustDomain } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  begin,
  deposited,
  digestOfData,
  inlineProcess,
  newMigration,
  newVm,
  openSide,
  record,
  released,
  type Side,
  type Story,
  snapshot,
  someDigest,
  TENANT,
} from '../testing/two-sides.ts';
import { HSM } from '../vault/hpke.ts';
import type { DepositReceived } from './acknowledge.ts';
import type { ReleaseReceived } from './import.ts';

let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

type Deposit = EventData<'KeyDeposited'>;
const flip = (base64: string): string => {
  const bytes = Buffer.from(base64, 'base64');
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  return bytes.toString('base64');
};
const cut = (base64: string): string => Buffer.from(base64, 'base64').subarray(0, -3).toString('base64');

/** The first key, which is the disk's, with something else in it. */
const first = (data: Deposit, over: Partial<DepositedKey>): Deposit => ({
  ...data,
  keys: data.keys.map((key, i) => (i === 0 ? { ...key, ...over } : key)),
});

/** A received deposit with one thing changed. The digest is that of the changed event: signing it is what a lying source could do. */
type Change = (request: DepositReceived, other: Deposit) => DepositReceived;
const changed =
  (change: (data: Deposit, other: Deposit) => Deposit): Change =>
  (request, other) => {
    const data = change(request.deposit.data, other);
    return { ...request, deposit: { digest: digestOfData(data), data } };
  };
const agreed =
  (over: Partial<Story['handover']>): Change =>
  (request) => ({ ...request, handover: { ...request.handover, ...over } });
const swap = (field: 'enc' | 'ct'): Change =>
  changed((data) => {
    const [one, two, ...rest] = data.keys;
    if (one === undefined || two === undefined) throw new Error('two keys expected');
    return { ...data, keys: [{ ...one, [field]: two[field] }, { ...two, [field]: one[field] }, ...rest] };
  });

const DEPOSIT_ATTACKS: readonly (readonly [name: string, code: string, change: Change])[] = [
  // what B knows of the attempt
  ['epoch + 1', 'MIGRATION_KEY_UNKNOWN', agreed({ epoch: epoch.parse(2) })],
  ['another VM', 'DEPOSIT_CONTEXT_MISMATCH', agreed({ vm: newVm() })],
  ['another source', 'DEPOSIT_CONTEXT_MISMATCH', agreed({ source: trustDomain.parse('csp-c.example') })],
  ['another target', 'DEPOSIT_CONTEXT_MISMATCH', agreed({ target: trustDomain.parse('csp-c.example') })],
  ['another intent', 'DEPOSIT_CONTEXT_MISMATCH', agreed({ intent: someDigest() })],
  ['another offer than the deposit cites', 'OFFER_DIFFERS', agreed({ offer: someDigest() })],
  ['another agreement than the deposit cites', 'AGREED_DIFFERS', agreed({ agreed: someDigest() })],
  [
    'an expired deposit',
    'DEPOSIT_EXPIRED',
    (r) => ({
      ...changed((d) => ({ ...d, notAfter: timestamp.parse('2026-11-23T10:00:00.000Z') }))(r, r.deposit.data),
      handover: { ...r.handover, notAfter: timestamp.parse('2026-11-23T10:00:00.000Z') },
    }),
  ],
  [
    'a longer validity, agreed to',
    'DEPOSIT_CONTEXT_MISMATCH',
    (r) => ({
      ...changed((d) => ({ ...d, notAfter: timestamp.parse('2026-11-23T12:00:00.001Z') }))(r, r.deposit.data),
      handover: { ...r.handover, notAfter: timestamp.parse('2026-11-23T12:00:00.001Z') },
    }),
  ],
  [
    'a validity that only the event names',
    'INPUT_INVALID',
    changed((d) => ({ ...d, notAfter: timestamp.parse('2026-11-23T12:00:00.001Z') })),
  ],
  [
    'an offer that both name but was not sealed for',
    'DEPOSIT_CONTEXT_MISMATCH',
    (r) => {
      const offer = someDigest();
      return { ...changed((d) => ({ ...d, offer }))(r, r.deposit.data), handover: { ...r.handover, offer } };
    },
  ],
  [
    'an agreement that both name but was not sealed for',
    'DEPOSIT_CONTEXT_MISMATCH',
    (r) => {
      const other = someDigest();
      return { ...changed((d) => ({ ...d, agreed: other }))(r, r.deposit.data), handover: { ...r.handover, agreed: other } };
    },
  ],
  [
    'a public key that was not offered',
    'PUBLIC_KEY_DIFFERS',
    (r) => ({ ...r, handover: { ...r.handover, publicKey: flip(r.handover.publicKey) } }),
  ],
  // what the deposit says of a key
  ['key version + 1', 'DEPOSIT_CONTEXT_MISMATCH', changed((d) => first(d, { version: 2 }))],
  ['another key id', 'ARTIFACT_KEY_DIFFERS', changed((d) => first(d, { key: keyId.parse(randomUUID()) }))],
  ['another artifact', 'ARTIFACT_UNKNOWN', changed((d) => first(d, { artifact: artifactId.parse(randomUUID()) }))],
  ['capacity + 1', 'ARTIFACT_CAPACITY_DIFFERS', changed((d) => first(d, { capacityBytes: 1_073_741_825 }))],
  [
    'memory size + 1',
    'DEPOSIT_CONTEXT_MISMATCH',
    changed((d) => ({ ...d, keys: d.keys.map((k) => (k.kind === 'memory' ? { ...k, capacityBytes: k.capacityBytes + 1 } : k)) })),
  ],
  ['another LUKS header', 'DEPOSIT_CONTEXT_MISMATCH', changed((d) => first(d, { headerDigest: someDigest() }))],
  ['another derivation', 'DERIVATION_UNFIT', changed((d) => first(d, { derivation: 'aes-256-gcm-stream' }))],
  [
    'another kind',
    'ARTIFACT_MISSING',
    (r, o) => ({ ...changed((d) => ({ ...d, keys: d.keys.filter(({ kind }) => kind !== 'disk') }))(r, o) }),
  ],
  [
    'a state of another kind',
    'ARTIFACT_UNKNOWN',
    changed((d) => ({ ...d, keys: d.keys.map((k) => (k.kind === 'memory' ? { ...k, kind: 'nvram' as const } : k)) })),
  ],
  ['the same key twice', 'KEY_REPEATED', changed((d) => ({ ...d, keys: [...d.keys, ...d.keys.slice(0, 1)] }))],
  // ciphertexts
  ['ciphertexts exchanged between keys', 'DEPOSIT_CONTEXT_MISMATCH', swap('ct')],
  ['encapsulations exchanged between keys', 'DEPOSIT_CONTEXT_MISMATCH', swap('enc')],
  ['one bit of a ciphertext', 'DEPOSIT_CONTEXT_MISMATCH', changed((d) => first(d, { ct: flip(d.keys[0]?.ct ?? '') }))],
  ['one bit of an encapsulation', 'DEPOSIT_CONTEXT_MISMATCH', changed((d) => first(d, { enc: flip(d.keys[0]?.enc ?? '') }))],
  ['a truncated ciphertext', 'DEPOSIT_CONTEXT_MISMATCH', changed((d) => first(d, { ct: cut(d.keys[0]?.ct ?? '') }))],
  ['an empty ciphertext', 'DEPOSIT_CONTEXT_MISMATCH', changed((d) => first(d, { ct: '' }))],
  ['a truncated encapsulation', 'DEPOSIT_CONTEXT_MISMATCH', changed((d) => first(d, { enc: cut(d.keys[0]?.enc ?? '') }))],
  ['an oversized ciphertext', 'INPUT_INVALID', changed((d) => first(d, { ct: Buffer.alloc(300).toString('base64') }))],
  ['an oversized encapsulation', 'INPUT_INVALID', changed((d) => first(d, { enc: Buffer.alloc(6_000).toString('base64') }))],
  ['no key at all', 'INPUT_INVALID', changed((d) => ({ ...d, keys: [] }))],
  [
    'the ciphertexts of another migration of the same VM',
    'DEPOSIT_CONTEXT_MISMATCH',
    changed((d, other) => ({
      ...d,
      keys: d.keys.map((k, i) => ({ ...k, enc: other.keys[i]?.enc ?? '', ct: other.keys[i]?.ct ?? '' })),
    })),
  ],
];

describe('a deposit that is not this one', () => {
  it.each(DEPOSIT_ATTACKS)('%s → %s, nothing changed', async (_name, code, change) => {
    const story = await begin(a, b);
    const mine = await record(a, await a.keys.deposit(story));
    const elsewhere = await begin(a, b);
    const other = await record(
      a,
      await a.keys.deposit({ ...elsewhere, handover: { ...elsewhere.handover, vm: story.handover.vm } }),
    );
    if (!mine.ok || !other.ok) throw new Error('not deposited');
    const request = {
      handover: story.handover,
      deposit: { digest: digestOfData(mine.value), data: mine.value },
      artifacts: story.disks,
    };
    const before = await snapshot(b);
    const answer = await record(b, await b.keys.acknowledge(change(request, other.value)));
    expect(answer).toMatchObject({ ok: false, code });
    expect(await snapshot(b)).toBe(before);
    expect((await record(b, await b.keys.acknowledge(request))).ok, 'the true deposit still counts').toBe(true);
  });

  it.each([
    ['too short', Buffer.alloc(1_213, 1)],
    ['too long', Buffer.alloc(1_218, 1)],
    ['none at all', Buffer.alloc(0)],
  ])('an offered public key that is %s is refused, not tried again', async (_name, bytes) => {
    const story = await begin(a, b);
    const before = await snapshot(a);
    const handover = { ...story.handover, publicKey: bytes.toString('base64') };
    expect(await record(a, await a.keys.deposit({ ...story, handover }))).toMatchObject({
      ok: false,
      code: 'PUBLIC_KEY_INVALID',
    });
    expect(await snapshot(a)).toBe(before);
  });

  it('a public key of another KEM than the offer names gets no deposit', async () => {
    const story = await begin(a, b);
    const before = await snapshot(a);
    expect(await a.keys.deposit({ ...story, kem: HSM })).toMatchObject({ ok: false, code: 'PROFILE_DIFFERS' });
    const point = createECDH('prime256v1').generateKeys('base64');
    const lie = { ...story, handover: { ...story.handover, publicKey: point } };
    expect(await a.keys.deposit(lie)).toMatchObject({ ok: false, code: 'PROFILE_DIFFERS' });
    expect(await snapshot(a)).toBe(before);
  });

  it('a migration key in a token needs a token', async () => {
    const before = await snapshot(b);
    const pair = { migration: newMigration(), epoch: epoch.parse(1), tenant: TENANT, kem: HSM };
    expect(await b.keys.createMigrationKeyPair(pair)).toMatchObject({ ok: false, code: 'PROFILE_NEEDS_TOKEN' });
    expect(await snapshot(b)).toBe(before);
  });

  it('a second deposit under the same epoch is refused on both sides', async () => {
    const story = await begin(a, b);
    const { deposit } = await deposited(a, b, story);
    const other = { ...story, keys: story.keys.slice(0, 1) };
    expect(await record(a, await a.keys.deposit(other))).toMatchObject({ ok: false, code: 'SECOND_DEPOSIT' });
    const replayed = { digest: someDigest(), data: deposit.data };
    const answer = await record(
      b,
      await b.keys.acknowledge({ handover: story.handover, deposit: replayed, artifacts: story.disks }),
    );
    expect(answer).toMatchObject({ ok: false, code: 'SECOND_ACKNOWLEDGEMENT' });
  });

  it('a deposit under the id of a key that is held here is refused', async () => {
    const victim = await begin(a, b);
    await deposited(a, b, victim);
    const story = await begin(a, b, { vm: victim.handover.vm });
    const again = { handover: story.handover, kem: story.kem, keys: victim.keys.slice(0, 1) };
    const data = await record(a, await a.keys.deposit(again));
    if (!data.ok) throw new Error(data.code);
    const request = {
      handover: story.handover,
      deposit: { digest: digestOfData(data.value), data: data.value },
      artifacts: victim.disks,
    };
    expect(await record(b, await b.keys.acknowledge(request))).toMatchObject({ ok: false, code: 'KEY_HELD' });
  });
});

type ReleaseChange = (request: ReleaseReceived, other: ReleaseReceived) => ReleaseReceived;
const releaseOf =
  (change: (data: EventData<'KeyReleased'>, other: EventData<'KeyReleased'>) => EventData<'KeyReleased'>): ReleaseChange =>
  (request, other) => ({ ...request, release: { ...request.release, data: change(request.release.data, other.release.data) } });
const otherRoot = (roots: ReleaseReceived['roots']) => roots.map((r, i) => (i === 0 ? { ...r, root: someDigest() } : r));

const RELEASE_ATTACKS: readonly (readonly [name: string, code: string, change: ReleaseChange])[] = [
  ['epoch + 1', 'MIGRATION_KEY_UNKNOWN', (r) => ({ ...r, epoch: r.epoch + 1 })],
  ['another deposit', 'DEPOSIT_DIFFERS', releaseOf((d) => ({ ...d, deposit: someDigest() }))],
  ['another acknowledgement', 'ACKNOWLEDGEMENT_DIFFERS', releaseOf((d) => ({ ...d, acknowledged: someDigest() }))],
  [
    'another acknowledgement that both name',
    'RELEASE_CONTEXT_MISMATCH',
    (r, o) => {
      const acknowledged = someDigest();
      return { ...releaseOf((d) => ({ ...d, acknowledged }))(r, o), acknowledged };
    },
  ],
  ['other roots than verified', 'ROOTS_DIFFER', releaseOf((d) => ({ ...d, roots: otherRoot(d.roots) }))],
  [
    'other roots that both name',
    'RELEASE_CONTEXT_MISMATCH',
    (r, o) => {
      const roots = otherRoot(r.roots);
      return { ...releaseOf((d) => ({ ...d, roots }))(r, o), roots };
    },
  ],
  ['a root missing', 'ROOTS_DIFFER', releaseOf((d) => ({ ...d, roots: d.roots.slice(1) }))],
  ['a root twice', 'ROOTS_DIFFER', releaseOf((d) => ({ ...d, roots: [...d.roots, ...d.roots.slice(0, 1)] }))],
  ['Krel of another epoch', 'RELEASE_CONTEXT_MISMATCH', releaseOf((d, o) => ({ ...d, enc: o.enc, ct: o.ct }))],
  ['one bit of the ciphertext', 'RELEASE_CONTEXT_MISMATCH', releaseOf((d) => ({ ...d, ct: flip(d.ct) }))],
  ['one bit of the encapsulation', 'RELEASE_CONTEXT_MISMATCH', releaseOf((d) => ({ ...d, enc: flip(d.enc) }))],
  ['a truncated ciphertext', 'RELEASE_CONTEXT_MISMATCH', releaseOf((d) => ({ ...d, ct: cut(d.ct) }))],
  ['an oversized ciphertext', 'INPUT_INVALID', releaseOf((d) => ({ ...d, ct: Buffer.alloc(6_200).toString('base64') }))],
];

describe('a release that is not this one', () => {
  it('is refused with its code, and nothing changes', async () => {
    const story = await begin(a, b);
    const { migration, epoch: e } = story.handover;
    const { release, acknowledged, roots } = await released(a, b, story);
    const other = await begin(a, b);
    const foreign = await released(a, b, other);
    const request = { migration, epoch: e, release, acknowledged: acknowledged.digest, roots };
    const otherRequest = {
      ...other.handover,
      release: foreign.release,
      acknowledged: foreign.acknowledged.digest,
      roots: foreign.roots,
    };
    const before = await snapshot(b);
    for (const [name, code, change] of RELEASE_ATTACKS) {
      const answer = await record(b, await b.keys.openRelease(change(request, otherRequest)));
      expect(answer, name).toMatchObject({ ok: false, code });
      expect(await snapshot(b), name).toBe(before);
    }
    expect((await record(b, await b.keys.openRelease(request))).ok, 'the true release still opens').toBe(true);
    const second = { ...request, release: { digest: someDigest(), data: release.data } };
    expect(await record(b, await b.keys.openRelease(second))).toMatchObject({ ok: false, code: 'SECOND_RELEASE_OPENED' });
  }, 60_000);
});
