import { createECDH } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type SoftHsmToken, scratch, softhsmToken } from '@carnet/dev';
import { AEAD_AES_128_GCM, CipherSuite, KDF_HKDF_SHA256 } from 'hpke';
import type { Handle } from 'pkcs11js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../bytes.ts';
import { onKeys } from '../../records/tables.ts';
import { deksAt, imported } from '../../testing/contract-suite.ts';
import { tokenRoot } from '../../testing/managers.ts';
import { begin, deposited, must, openSide, record, type Side, type Story, within } from '../../testing/two-sides.ts';
import type { KeyAgreement } from '../../vault/custody.ts';
import { HSM } from '../../vault/hpke.ts';
import { A31 } from '../../vault/testing/rfc9180.ts';
import { KEY_IN_TOKEN, tokenKem } from '../../vault/token-kem.ts';
import { withoutPin } from '../service.ts';
import { createTokenRoot } from '../token-root.ts';
import { agreementIn, deriveIn } from './agreement.ts';
import { login, openSlot, type TokenSlot } from './module.ts';

let token: SoftHsmToken;
let slot: TokenSlot;
let session: Handle;
/** As the child of `carnet-root` sees the token. */
let agreement: KeyAgreement;
let a: Side;
let b: Side;
beforeAll(async () => {
  token = softhsmToken({ dir: join(scratch('hsm'), 'token'), label: 'carnet' });
  must(await createTokenRoot(tokenRoot(token)));
  const opened = await openSlot(withoutPin(tokenRoot(token)));
  if (!opened.ok) throw new Error(opened.code);
  slot = opened.value;
  const loggedIn = login(slot, readFileSync(token.pinFile), 'write');
  if (!loggedIn.ok) throw new Error(loggedIn.code);
  session = loggedIn.value;
  agreement = agreementIn(slot, session, 'carnet-root');
  a = await openSide({ domain: 'csp-a.example' });
  b = await openSide({ domain: 'csp-b.example', root: tokenRoot(token) });
});
afterAll(async () => {
  for (const side of [a, b]) await side?.close();
});

const AT = '2026-11-23T10:00:00.000Z';
const idOf = ({ handover }: Story): Buffer => sha256(Buffer.from(handover.publicKey, 'base64'));
const privateWith = (id: Buffer): Handle | undefined => {
  const { p11, names } = slot;
  p11.C_FindObjectsInit(session, [
    { type: names.CKA_CLASS, value: names.CKO_PRIVATE_KEY },
    { type: names.CKA_ID, value: id },
  ]);
  const [found] = p11.C_FindObjects(session, 2);
  p11.C_FindObjectsFinal(session);
  return found;
};
/** A private key that was once outside. */
const importKey = (label: string): Handle => {
  const { p11, names } = slot;
  return p11.C_CreateObject(session, [
    { type: names.CKA_CLASS, value: names.CKO_PRIVATE_KEY },
    { type: names.CKA_KEY_TYPE, value: names.CKK_EC },
    { type: names.CKA_EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') },
    { type: names.CKA_VALUE, value: A31.privateKey },
    { type: names.CKA_LABEL, value: label },
    { type: names.CKA_ID, value: sha256(A31.publicKey) },
    { type: names.CKA_TOKEN, value: true },
    { type: names.CKA_SENSITIVE, value: true },
    { type: names.CKA_EXTRACTABLE, value: false },
    { type: names.CKA_DERIVE, value: true },
  ]);
};

describe('a migration key in the token', () => {
  it('agrees as any P-256 key does, and cannot be read', () => {
    const point = agreement.generate(AT);
    const id = sha256(point);
    const peer = createECDH('prime256v1');
    peer.generateKeys();
    expect(agreement.agree(id, peer.getPublicKey())).toEqual(peer.computeSecret(point));
    const key = privateWith(id);
    if (key === undefined) throw new Error('the key is not in the token');
    const { p11, names } = slot;
    expect(() => p11.C_GetAttributeValue(session, key, [{ type: names.CKA_VALUE }])).toThrow(/CKR_ATTRIBUTE_SENSITIVE/);
    expect(agreement.list()).toContainEqual({ id, madeAt: AT });
    agreement.destroy(id);
    expect([agreement.has(id), privateWith(id)]).toEqual([false, undefined]);
  });

  it('opens the message of RFC 9180, A.3.1', async () => {
    const key = importKey('a vector');
    const agree = (point: Buffer): Buffer => deriveIn(slot, session, key, point);
    const suite = new CipherSuite(tokenKem(A31.publicKey, agree), KDF_HKDF_SHA256, AEAD_AES_128_GCM);
    const context = await suite.SetupRecipient(KEY_IN_TOKEN, A31.enc, { info: A31.info });
    expect(Buffer.from(await context.Open(A31.ct, A31.aad))).toEqual(A31.plaintext);
    slot.p11.C_DestroyObject(session, key);
  });

  it('that was once outside is none, and neither is one of another root', () => {
    const key = importKey(`carnet-root:migration:${AT}`);
    expect(agreement.has(sha256(A31.publicKey))).toBe(false);
    slot.p11.C_DestroyObject(session, key);
    const other = agreementIn(slot, session, 'another-root');
    const id = sha256(other.generate(AT));
    expect([agreement.has(id), agreement.list().some((one) => one.id.equals(id)), other.has(id)]).toEqual([false, false, true]);
    agreement.destroy(id);
    expect(other.has(id)).toBe(true);
    other.destroy(id);
  });
});

describe('a hand-over of profile hsm', () => {
  it('arrives, and its private key ends in the token soon after', async () => {
    const story = await begin(a, b, {}, HSM);
    const deks = await deksAt(a, story, 'trial-unlock');
    expect([story.kem, agreement.has(idOf(story))]).toEqual(['0x0010', true]);
    await imported(a, b, story);
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(await b.keys.settleSecrets()).toEqual({ kept: 0, destroyed: 1, refused: [] });
    expect(agreement.has(idOf(story))).toBe(false);
    expect(await b.keys.settleSecrets()).toEqual({ kept: 0, destroyed: 0, refused: [] });
  });

  it('that is discarded destroys its key, and leaves that of another under way', async () => {
    const [ended, open] = [await begin(a, b, {}, HSM), await begin(a, b, {}, HSM)];
    const { migration, epoch } = ended.handover;
    await deposited(a, b, ended);
    must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    must({ ok: true, value: await b.keys.settleSecrets() });
    expect([agreement.has(idOf(ended)), agreement.has(idOf(open))]).toEqual([false, true]);
  });

  it('sweeps what a crash left, when it is old enough, and nothing younger', async () => {
    const left = sha256(agreement.generate('2026-11-23T08:00:00.000Z'));
    const young = sha256(agreement.generate('2026-11-23T09:59:00.000Z'));
    const story = await begin(a, b, {}, HSM);
    const { migration, epoch } = story.handover;
    await deposited(a, b, story);
    must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    await b.keys.settleSecrets();
    expect([agreement.has(left), agreement.has(young)]).toEqual([false, true]);
    agreement.destroy(young);
  });

  it('does not open with the key of another row, nor without its own', async () => {
    const [mine, other] = [await begin(a, b, {}, HSM), await begin(a, b, {}, HSM)];
    const data = must(await record(a, await a.keys.deposit(mine)));
    const deposit = { digest: mine.handover.offer, data };
    const request = { handover: mine.handover, deposit, artifacts: mine.disks };
    const db = onKeys(b.store.db);
    const rowOf = ({ handover }: Story) =>
      db.selectFrom('keys_imports').select('private_key').where('migration', '=', handover.migration).executeTakeFirstOrThrow();
    const kept = await rowOf(mine);
    await db
      .updateTable('keys_imports')
      .set(await rowOf(other))
      .where('migration', '=', mine.handover.migration)
      .execute();
    expect(await b.keys.acknowledge(request)).toMatchObject({ ok: false, code: 'MIGRATION_KEY_UNOPENABLE' });
    await db.updateTable('keys_imports').set(kept).where('migration', '=', mine.handover.migration).execute();
    expect(await b.keys.acknowledge(request)).toMatchObject({ ok: true });
    agreement.destroy(idOf(mine));
    expect(await b.keys.acknowledge(request)).toMatchObject({ ok: false, code: 'MIGRATION_KEY_UNOPENABLE' });
  });
});
