import { hkdfSync } from 'node:crypto';
import { AEAD_ChaCha20Poly1305 } from '@panva/hpke-noble';
import fc from 'fast-check';
import { AEAD_AES_128_GCM, type AEADFactory, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke';
import { describe, expect, it } from 'vitest';
import { keyUnwrap, keyWrap, openRecord, sealRecord } from './wrap.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

describe('AES-256-KW (RFC 3394)', () => {
  // Section 4.6: 256 bits of key data with a 256-bit KEK.
  const kek = hex('000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F');
  const data = hex('00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F');
  const wrapped = hex('28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21');

  it('wraps and unwraps the vector of section 4.6', () => {
    expect(keyWrap(kek, data)).toEqual(wrapped);
    expect(keyUnwrap(kek, wrapped)).toEqual(data);
  });

  it('refuses every single changed bit, another KEK, and another length', () => {
    fc.assert(
      fc.property(fc.nat(wrapped.length * 8 - 1), (bit) => {
        const changed = Buffer.from(wrapped);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return keyUnwrap(kek, changed) === undefined;
      }),
    );
    expect(keyUnwrap(data, wrapped)).toBeUndefined();
    expect(keyUnwrap(kek, wrapped.subarray(0, 32))).toBeUndefined();
  });
});

describe('AES-256-GCM at rest', () => {
  const random = (n: number): Uint8Array => Buffer.alloc(n, 7);
  it('opens under its own identity only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.string(), fc.string(), (plain, aad, other) => {
        const key = Buffer.alloc(32, 1);
        const sealed = sealRecord(key, Buffer.from(aad), plain, random);
        const opened = openRecord(key, Buffer.from(aad), sealed);
        const moved = openRecord(key, Buffer.from(`${aad}${other}x`), sealed);
        return opened !== undefined && Buffer.compare(opened, plain) === 0 && moved === undefined;
      }),
    );
  });
  it('never works under a key of zeros: a buffer wiped too early is a bug, not a key', () => {
    expect(() => sealRecord(Buffer.alloc(32), Buffer.alloc(0), Buffer.alloc(0), random)).toThrow(/empty/);
    expect(() => keyWrap(Buffer.alloc(32), Buffer.alloc(32, 1))).toThrow(/empty/);
    expect(() => keyWrap(Buffer.alloc(32, 1), Buffer.alloc(32))).toThrow(/empty/);
  });
  it('refuses what is too short to hold nonce and tag', () => {
    expect(openRecord(Buffer.alloc(32), Buffer.alloc(0), Buffer.alloc(27))).toBeUndefined();
  });
});

describe('HKDF-SHA-256 (RFC 5869, appendix A)', () => {
  it.each([
    [
      'A.1',
      '0b'.repeat(22),
      '000102030405060708090a0b0c',
      'f0f1f2f3f4f5f6f7f8f9',
      42,
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    ],
    ['A.3', '0b'.repeat(22), '', '', 42, '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8'],
  ])('%s', (_name, secret, salt, info, length, expected) => {
    expect(Buffer.from(hkdfSync('sha256', hex(secret), hex(salt), hex(info), length)).toString('hex')).toBe(expected);
  });
});

type Vector = {
  readonly name: string;
  readonly aead: AEADFactory;
  readonly privateKey: string;
  readonly publicKey: string;
  readonly enc: string;
  readonly messages: readonly (readonly [aad: string, ct: string])[];
  readonly exports: readonly (readonly [context: string, secret: string])[];
};

// RFC 9180, appendices A.1.1 and A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, Base mode.
const HPKE_VECTORS: readonly Vector[] = [
  {
    name: 'A.1.1 AES-128-GCM',
    aead: AEAD_AES_128_GCM,
    privateKey: '4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8',
    publicKey: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d',
    enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
    messages: [
      ['436f756e742d30', 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a'],
      ['436f756e742d31', 'af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84'],
    ],
    exports: [
      ['', '3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee'],
      ['00', '2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5'],
    ],
  },
  {
    name: 'A.2.1 ChaCha20Poly1305',
    aead: AEAD_ChaCha20Poly1305,
    privateKey: '8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb',
    publicKey: '4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a',
    enc: '1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a',
    messages: [
      ['436f756e742d30', '1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28'],
      ['436f756e742d31', '6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c'],
    ],
    exports: [['', '4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e']],
  },
];

describe('HPKE Base (RFC 9180), the library underneath', () => {
  it.each(HPKE_VECTORS)('$name', async ({ aead, privateKey, publicKey, enc, messages, exports }) => {
    const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, aead);
    const pair = {
      privateKey: await suite.DeserializePrivateKey(hex(privateKey)),
      publicKey: await suite.DeserializePublicKey(hex(publicKey)),
    };
    const info = hex('4f6465206f6e2061204772656369616e2055726e');
    const recipient = await suite.SetupRecipient(pair, hex(enc), { info });
    for (const [aad, ct] of messages)
      expect(Buffer.from(await recipient.Open(hex(ct), hex(aad))).toString()).toBe('Beauty is truth, truth beauty');
    for (const [context, secret] of exports)
      expect(Buffer.from(await recipient.Export(hex(context), 32)).toString('hex')).toBe(secret);
  });
});
