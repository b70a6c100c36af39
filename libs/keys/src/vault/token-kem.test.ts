import { createECDH } from 'node:crypto';
import { AEAD_AES_128_GCM, CipherSuite, KDF_HKDF_SHA256 } from 'hpke';
import { describe, expect, it } from 'vitest';
import { HSM, kemOf, openInToken, sealBase, suiteOf } from './hpke.ts';
import { A31 } from './testing/rfc9180.ts';
import { KEY_IN_TOKEN, tokenKem } from './token-kem.ts';

/** A software key in the token's place: what is done outside the token is the same. */
function keyPair(privateKey?: Buffer) {
  const ecdh = createECDH('prime256v1');
  if (privateKey === undefined) ecdh.generateKeys();
  else ecdh.setPrivateKey(privateKey);
  const asked: Buffer[] = [];
  const agree = (point: Buffer): Buffer => {
    asked.push(point);
    return ecdh.computeSecret(point);
  };
  return { publicKey: ecdh.getPublicKey(), agree, asked };
}
const by = { info: Buffer.from('info'), aad: Buffer.from('aad'), exporterContext: Buffer.from('export') };

describe('DHKEM(P-256, HKDF-SHA256) with the private key elsewhere', () => {
  it('opens the message of RFC 9180, A.3.1, and exports its secrets', async () => {
    const { publicKey, agree } = keyPair(A31.privateKey);
    expect(publicKey).toEqual(A31.publicKey);
    const suite = new CipherSuite(tokenKem(publicKey, agree), KDF_HKDF_SHA256, AEAD_AES_128_GCM);
    const context = await suite.SetupRecipient(KEY_IN_TOKEN, A31.enc, { info: A31.info });
    expect(Buffer.from(await context.Open(A31.ct, A31.aad))).toEqual(A31.plaintext);
    for (const [exporterContext, exported] of A31.exports)
      expect(Buffer.from(await context.Export(exporterContext, 32))).toEqual(exported);
  });

  it('opens what is sealed to its public key, under the same info and aad only', async () => {
    const { publicKey, agree } = keyPair();
    const sealed = await sealBase({ publicKey, ...by }, Buffer.from('a key'));
    if (sealed === undefined) throw new Error('not sealed');
    const opened = await openInToken({ publicKey, agree, ...by }, sealed);
    expect([opened?.plaintext.toString(), opened?.exported]).toEqual(['a key', sealed.exported]);
    for (const other of [{ info: Buffer.from('x') }, { aad: Buffer.from('x') }, { publicKey: keyPair().publicKey }])
      expect(await openInToken({ publicKey, agree, ...by, ...other }, sealed)).toBeUndefined();
  });

  it('shows the token no point that is not on the curve', async () => {
    const { publicKey, agree, asked } = keyPair();
    const ct = Buffer.alloc(32);
    const off = Buffer.from(publicKey);
    off[64] = (off[64] ?? 0) ^ 1;
    for (const enc of [off, Buffer.alloc(65), Buffer.concat([Buffer.from([4]), Buffer.alloc(64)]), publicKey.subarray(0, 33)])
      expect(await openInToken({ publicKey, agree, ...by }, { enc, ct })).toBeUndefined();
    expect(await sealBase({ publicKey: off, ...by }, ct)).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it('is a suite of its own in every context', () => {
    const { publicKey } = keyPair();
    expect([kemOf(publicKey), suiteOf(publicKey)]).toEqual([HSM, '0010-0001-0002']);
    expect(kemOf(publicKey.subarray(1))).toBeUndefined();
  });
});
