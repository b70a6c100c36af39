import { randomBytes, randomUUID } from 'node:crypto';
import { artifactId, escrowId, GENESIS, keyId, recoveryId, spiffeId, trustDomain, uuidv7, vmId } from '@carnet/events';
import { beforeAll, describe, expect, it } from 'vitest';
import { digestOf, fromBase64, toBase64, wiper } from '../bytes.ts';
import { holdsSecret, NOW, TENANT } from '../testing/two-sides.ts';
import { type Custody, keyRoot } from '../vault/custody.ts';
import {
  checkGivenShare,
  createRecoveryKey,
  type Dealt,
  dealEscrow,
  type GivenShare,
  type Recovering,
  recoverDek,
} from '../vault/escrow.ts';
import { createDek, createKek, openDek, type WrappedDek } from '../vault/hierarchy.ts';
import { isProof } from '../vault/share.ts';
import { type CustodianFile, createCustodianFile, giveOwnShare, proveOwnShare } from './custodian.ts';
import type { Manifest } from './statements.ts';
import { type EscrowTerms, escrowTerms } from './terms.ts';

const COST = 16_384;
const PASSPHRASE = Buffer.from('correct horse battery staple');
const newId = () => uuidv7(Date.parse(NOW), randomBytes(10));
const custodyUnder = (root: Uint8Array): Custody => ({ root: keyRoot(root) });
const REQUEST = 'a'.repeat(64);

const custody = custodyUnder(randomBytes(32));
const keks = [createKek(custody.root, { tenant: TENANT, version: 1 }, randomBytes)];
let files: readonly CustodianFile[];
let dek: WrappedDek;
let escrow: { readonly manifest: Manifest; readonly dealt: Dealt };

const termsFor = (holders: readonly CustodianFile[], of: WrappedDek, threshold: number): EscrowTerms =>
  escrowTerms.parse({
    csp: trustDomain.parse('csp-a.example'),
    escrow: escrowId.parse(newId()),
    key: of.key,
    version: of.version,
    arrival: of.arrival,
    tenant: of.tenant,
    vm: vmId.parse(`csp-a.example/${randomUUID()}`),
    artifact: artifactId.parse(randomUUID()),
    kind: 'disk',
    derivation: 'luks-passphrase-hex',
    capacityBytes: 1_073_741_824,
    threshold,
    seats: holders.map(({ custodian, publicKey }) => ({ custodian, sealingKey: digestOf(fromBase64(publicKey)) })),
  });

async function deal(of: WrappedDek, threshold = 2) {
  const terms = termsFor(files, of, threshold);
  const dealt = await dealEscrow(
    custody,
    { terms, sealingKeys: files.map(({ publicKey }) => publicKey), keks, dek: of },
    randomBytes,
  );
  if (!dealt.ok) throw new Error(dealt.code);
  const shares = dealt.value.shares.map(({ published }) => published);
  const said = { kind: 'escrow', terms, package: dealt.value.package, shares, by: 'test', reason: 'test', at: NOW } as const;
  return { manifest: said, dealt: dealt.value };
}

async function newDek(): Promise<WrappedDek> {
  const holding = { tenant: TENANT, key: keyId.parse(randomUUID()), version: 1, arrival: 0 };
  const made = await createDek(custody, keks, holding, randomBytes);
  if (!made.ok) throw new Error(made.code);
  return made.value;
}

/** A key manager with another root: the first one is lost. */
async function recovering(terms: EscrowTerms) {
  const other = custodyUnder(randomBytes(32));
  const fresh = [createKek(other.root, { tenant: TENANT, version: 2 }, randomBytes)];
  const recovery = recoveryId.parse(newId());
  const pair = await createRecoveryKey(other, { recovery }, randomBytes);
  if (!pair.ok) throw new Error(pair.code);
  const asked: Recovering = { terms, recovery, request: REQUEST, keks: fresh, ...pair.value };
  return { other, fresh, asked };
}

const own = (i: number, of = escrow) => {
  const [file, share] = [files[i], of.dealt.shares[i]];
  if (file === undefined || share === undefined) throw new Error('no such custodian');
  return { file, passphrase: PASSPHRASE, manifest: of.manifest, sealed: share.sealed };
};
async function given(i: number, publicKey: string, of = escrow, request = REQUEST): Promise<GivenShare> {
  const sealed = await giveOwnShare(own(i, of), { publicKey, request });
  const published = of.manifest.shares[i];
  if (!sealed.ok || published === undefined) throw new Error('not given');
  return { index: i + 1, sealed: sealed.value, published };
}
const clear = async (at: Custody, under: typeof keks, of: WrappedDek): Promise<Buffer> => {
  using wipe = wiper();
  const opened = await openDek(at, under, of, wipe);
  if (!opened.ok) throw new Error(opened.code);
  return Buffer.from(opened.value);
};
const flipped = (text: string): string => {
  const bytes = fromBase64(text);
  bytes[5] = (bytes[5] ?? 0) ^ 1;
  return toBase64(bytes);
};

beforeAll(async () => {
  files = await Promise.all(
    ['anna', 'ben', 'cleo'].map((name) =>
      createCustodianFile(spiffeId.parse(`spiffe://csp-a.example/custodian/${name}`), PASSPHRASE, randomBytes, COST),
    ),
  );
  dek = await newDek();
  escrow = await deal(dek);
}, 60_000);

describe('terms', () => {
  it.each([
    ['M of 1', (t: EscrowTerms) => ({ ...t, threshold: 1 })],
    ['M above N', (t: EscrowTerms) => ({ ...t, threshold: 4 })],
    ['a custodian twice', (t: EscrowTerms) => ({ ...t, seats: [t.seats[0], t.seats[0], t.seats[1]] })],
    [
      'one person in two roles',
      (t: EscrowTerms) => ({ ...t, seats: [...t.seats, { ...t.seats[0], custodian: 'spiffe://csp-a.example/operator/anna' }] }),
    ],
    ['one sealing key for two', (t: EscrowTerms) => ({ ...t, seats: t.seats.map((s) => ({ ...s, sealingKey: REQUEST })) })],
    ['nobody', (t: EscrowTerms) => ({ ...t, seats: [] })],
  ])('are refused: %s', (_name, change) => {
    expect(escrowTerms.safeParse(escrow.manifest.terms).success).toBe(true);
    expect(escrowTerms.safeParse(change(escrow.manifest.terms)).success).toBe(false);
  });
});

describe('a drill', () => {
  const challenge = { drill: newId(), challenge: toBase64(randomBytes(32)) };
  const bound = (i: number, of = escrow) => ({ terms: of.manifest.terms, index: i + 1 });
  const published = (i: number, of = escrow) => of.manifest.shares[i] ?? { sealed: GENESIS, verify: '' };

  it('proves possession to everyone and shows nothing of the share', async () => {
    const proof = await proveOwnShare(own(0), challenge);
    if (!proof.ok) throw new Error(proof.code);
    expect(isProof(bound(0), published(0), challenge, proof.value)).toBe(true);
    const key = await clear(custody, keks, dek);
    expect(holdsSecret(Buffer.from(JSON.stringify([proof.value, escrow.manifest])), key)).toBe(false);
  });

  it('a proof counts for its own drill, challenge, custodian and escrow only', async () => {
    const proof = await proveOwnShare(own(0), challenge);
    if (!proof.ok) throw new Error(proof.code);
    const again = await deal(dek);
    expect(isProof(bound(0), published(0), { ...challenge, drill: newId() }, proof.value)).toBe(false);
    expect(isProof(bound(0), published(0), { ...challenge, challenge: toBase64(randomBytes(32)) }, proof.value)).toBe(false);
    expect(isProof(bound(1), published(1), challenge, proof.value)).toBe(false);
    expect(isProof(bound(0, again), published(0, again), challenge, proof.value)).toBe(false);
    expect(isProof(bound(0), published(0), challenge, flipped(proof.value))).toBe(false);
    expect(isProof(bound(0), { sealed: GENESIS, verify: toBase64(Buffer.alloc(32)) }, challenge, proof.value)).toBe(false);
  });

  it.each<[string, () => Promise<Parameters<typeof proveOwnShare>[0]>, string]>([
    ['another passphrase', async () => ({ ...own(0), passphrase: Buffer.from('wrong') }), 'CUSTODIAN_FILE_INVALID'],
    ["another custodian's share", async () => ({ ...own(0), sealed: own(1).sealed }), 'SHARE_DIGEST_DIFFERS'],
    [
      'a changed share',
      async () => ({ ...own(0), sealed: { ...own(0).sealed, ct: flipped(own(0).sealed.ct) } }),
      'SHARE_DIGEST_DIFFERS',
    ],
    ['the share of an older escrow', async () => ({ ...own(0), sealed: own(0, await deal(dek)).sealed }), 'SHARE_DIGEST_DIFFERS'],
    [
      'a custodian without a seat',
      async () => ({
        ...own(0),
        file: await createCustodianFile(spiffeId.parse('spiffe://csp-a.example/custodian/dora'), PASSPHRASE, randomBytes, COST),
      }),
      'CUSTODIAN_UNKNOWN',
    ],
    [
      'a new sealing key',
      async () => ({ ...own(0), file: await createCustodianFile(own(0).file.custodian, PASSPHRASE, randomBytes, COST) }),
      'SHARE_UNOPENABLE',
    ],
  ])('fails: %s', async (_name, make, code) => {
    expect(await proveOwnShare(await make(), challenge)).toMatchObject({ ok: false, code });
  });
});

describe('a recovery', () => {
  it('any two of three give the key to a key manager with another root; the package is of no other use', async () => {
    const before = await clear(custody, keks, dek);
    for (const [one, two] of [
      [0, 1],
      [2, 0],
      [1, 2],
    ] as const) {
      const { other, fresh, asked } = await recovering(escrow.manifest.terms);
      const shares = [await given(one, asked.publicKey), await given(two, asked.publicKey)];
      for (const share of shares) expect(await checkGivenShare(other, { ...asked, share })).toMatchObject({ ok: true });
      const back = await recoverDek(other, { ...asked, package: escrow.manifest.package, shares }, randomBytes);
      if (!back.ok) throw new Error(back.code);
      expect((await clear(other, fresh, back.value)).equals(before)).toBe(true);
    }
  });

  type Row = [string, (to: string) => Promise<readonly GivenShare[]>, string];
  const good = (to: string) => given(1, to);
  const changed = async (to: string): Promise<GivenShare> => {
    const share = await given(0, to);
    return { ...share, sealed: { ...share.sealed, ct: flipped(share.sealed.ct) } };
  };
  it.each<Row>([
    ['M − 1 shares', async (to) => [await good(to)], 'APPROVALS_MISSING'],
    ['one share twice', async (to) => [await good(to), await good(to)], 'SHARE_REPEATED'],
    ['a tampered share', async (to) => [await changed(to), await good(to)], 'SHARE_UNOPENABLE'],
    [
      'a share given for another request',
      async (to) => [await given(0, to, escrow, 'b'.repeat(64)), await good(to)],
      'SHARE_UNOPENABLE',
    ],
    [
      'a share of an older escrow of this key',
      async (to) => [{ ...(await given(0, to, await deal(dek))), published: published(0) }, await good(to)],
      'SHARE_UNOPENABLE',
    ],
    [
      'a share of another key',
      async (to) => [{ ...(await given(0, to, await deal(await newDek()))), published: published(0) }, await good(to)],
      'SHARE_UNOPENABLE',
    ],
    [
      "another custodian's share under one's own name",
      async (to) => [{ ...(await given(2, to)), index: 1, published: published(0) }, await good(to)],
      'SHARE_UNOPENABLE',
    ],
    [
      'a share that opens and is not the one that was dealt',
      async (to) => [{ ...(await given(0, to)), published: published(2) }, await good(to)],
      'SHARE_DIFFERS',
    ],
  ])('is refused: %s', async (_name, make, code) => {
    const { other, asked } = await recovering(escrow.manifest.terms);
    const shares = await make(asked.publicKey);
    const back = await recoverDek(other, { ...asked, package: escrow.manifest.package, shares }, randomBytes);
    expect(back).toMatchObject({ ok: false, code });
  });
  const published = (i: number) => escrow.manifest.shares[i] ?? { sealed: GENESIS, verify: '' };

  it('a wrong share names its custodian', async () => {
    const { other, asked } = await recovering(escrow.manifest.terms);
    const share = await changed(asked.publicKey);
    expect(await checkGivenShare(other, { ...asked, share })).toMatchObject({ key: 'spiffe://csp-a.example/custodian/anna' });
  });

  it('is refused: a changed package, terms that say something else, a private key of another recovery', async () => {
    const { other, asked } = await recovering(escrow.manifest.terms);
    const shares = [await given(0, asked.publicKey), await given(1, asked.publicKey)];
    const r = { ...asked, package: escrow.manifest.package, shares };
    expect(await recoverDek(other, { ...r, package: flipped(r.package) }, randomBytes)).toMatchObject({
      code: 'ESCROW_PACKAGE_UNOPENABLE',
    });
    const terms = { ...r.terms, capacityBytes: 1 };
    expect(await recoverDek(other, { ...r, terms }, randomBytes)).toMatchObject({ code: 'SHARE_UNOPENABLE' });
    const recovery = recoveryId.parse(newId());
    expect(await recoverDek(other, { ...r, recovery }, randomBytes)).toMatchObject({ code: 'RECOVERY_KEY_UNOPENABLE' });
  });

  it('shares are not dealt to a key that is not the one enrolled', async () => {
    const sealingKeys = files.map(({ publicKey }) => publicKey).toReversed();
    const refused = await dealEscrow(custody, { terms: escrow.manifest.terms, sealingKeys, keks, dek }, randomBytes);
    expect(refused).toMatchObject({ ok: false, code: 'SEALING_KEY_INVALID' });
  });

  it('a custodian gives nothing to what is no key', async () => {
    const to = { publicKey: toBase64(Buffer.alloc(1_216, 0xff)), request: REQUEST };
    expect(await giveOwnShare(own(0), to)).toMatchObject({ code: 'PUBLIC_KEY_INVALID' });
  });
});
