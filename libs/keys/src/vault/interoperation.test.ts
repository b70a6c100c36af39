import { Aes256Gcm, HkdfSha256, CipherSuite as OtherSuite } from '@hpke/core';
import { XWing } from '@hpke/hybridkem-x-wing';
import { KEM_MLKEM768_X25519 as NOBLE_KEM } from '@panva/hpke-noble';
import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256 } from 'hpke';
import { describe, expect, it } from 'vitest';
import { fromBase64 } from '../bytes.ts';
import { generateKeyPair, openBase, SUITE, sealBase } from './hpke.ts';

// KEM 0x647a three times: OpenSSL through `hpke` (ours), noble in JavaScript, and @hpke/core with its own X-Wing.
const info = Buffer.from('carnet/dek/v1 and a context');
const aad = Buffer.from('context');
const exporterContext = Buffer.from('carnet/acknowledgement/v1');
const plaintext = Buffer.from('forty bytes that look like a wrapped key');

const bytesOf = (buffer: Uint8Array): ArrayBuffer => Uint8Array.from(buffer).buffer;
const core = (): OtherSuite => new OtherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const noble = () => new CipherSuite(NOBLE_KEM, KDF_HKDF_SHA256, AEAD_AES_256_GCM);

describe('interoperation on KEM 0x647a, HKDF-SHA-256, AES-256-GCM', () => {
  it('all three agree on the suite', () => {
    expect(SUITE).toBe('647a-0001-0002');
    expect(core().kem.id).toBe(0x647a);
    expect(noble().KEM.id).toBe(0x647a);
  });

  it('ours → @hpke/core', async () => {
    const other = core();
    const pair = await other.kem.generateKeyPair();
    const publicKey = new Uint8Array(await other.kem.serializePublicKey(pair.publicKey));
    const sealed = await sealBase({ publicKey, info, aad, exporterContext }, plaintext);
    if (sealed === undefined) throw new Error('not sealed');
    const recipient = await other.createRecipientContext({
      recipientKey: pair.privateKey,
      enc: bytesOf(sealed.enc),
      info: bytesOf(info),
    });
    expect(Buffer.from(await recipient.open(bytesOf(sealed.ct), bytesOf(aad)))).toEqual(plaintext);
    expect(Buffer.from(await recipient.export(bytesOf(exporterContext), 32))).toEqual(sealed.exported);
  });

  it('@hpke/core → ours', async () => {
    const other = core();
    const pair = await generateKeyPair();
    const recipientPublicKey = await other.kem.deserializePublicKey(bytesOf(fromBase64(pair.publicKey)));
    const sender = await other.createSenderContext({ recipientPublicKey, info: bytesOf(info) });
    const ct = Buffer.from(await sender.seal(bytesOf(plaintext), bytesOf(aad)));
    const opened = await openBase(
      { privateKey: pair.privateKey, info, aad, exporterContext },
      { enc: Buffer.from(sender.enc), ct },
    );
    expect(opened?.plaintext).toEqual(plaintext);
    expect(opened?.exported).toEqual(Buffer.from(await sender.export(bytesOf(exporterContext), 32)));
  });

  it('ours → noble', async () => {
    const other = noble();
    const pair = await other.GenerateKeyPair(true);
    const sealed = await sealBase(
      { publicKey: await other.SerializePublicKey(pair.publicKey), info, aad, exporterContext },
      plaintext,
    );
    if (sealed === undefined) throw new Error('not sealed');
    const recipient = await other.SetupRecipient(pair, sealed.enc, { info });
    expect(Buffer.from(await recipient.Open(sealed.ct, aad))).toEqual(plaintext);
  });

  it('noble → ours, with the same seed', async () => {
    const other = noble();
    const pair = await generateKeyPair();
    const publicKey = await other.DeserializePublicKey(fromBase64(pair.publicKey));
    const { encapsulatedSecret, ctx } = await other.SetupSender(publicKey, { info });
    const ct = await ctx.Seal(plaintext, aad);
    const opened = await openBase({ privateKey: pair.privateKey, info, aad, exporterContext }, { enc: encapsulatedSecret, ct });
    expect(opened?.plaintext).toEqual(plaintext);
  });
});

describe('what does not open', () => {
  it('is undefined, without a reason', async () => {
    const pair = await generateKeyPair();
    const stranger = await generateKeyPair();
    const publicKey = fromBase64(pair.publicKey);
    const sealed = await sealBase({ publicKey, info, aad, exporterContext }, plaintext);
    if (sealed === undefined) throw new Error('not sealed');
    const by = { privateKey: pair.privateKey, info, aad, exporterContext };
    const flipped = Buffer.from(sealed.ct);
    flipped[0] = (flipped[0] ?? 0) ^ 1;
    expect(await openBase({ ...by, info: Buffer.from('other') }, sealed)).toBeUndefined();
    expect(await openBase({ ...by, aad: Buffer.from('other') }, sealed)).toBeUndefined();
    expect(await openBase({ ...by, privateKey: stranger.privateKey }, sealed)).toBeUndefined();
    expect(await openBase({ ...by, privateKey: Buffer.alloc(31) }, sealed)).toBeUndefined();
    expect(await openBase(by, { ...sealed, ct: flipped })).toBeUndefined();
    expect(await openBase(by, { ...sealed, ct: sealed.ct.subarray(0, 8) })).toBeUndefined();
    expect(await openBase(by, { ...sealed, enc: sealed.enc.subarray(1) })).toBeUndefined();
    expect(await sealBase({ publicKey: publicKey.subarray(1), info, aad, exporterContext }, plaintext)).toBeUndefined();
  });
});
