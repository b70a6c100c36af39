import { createHash, generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Primitives } from './primitives.ts';
import * as noble from './primitives-noble.ts';
import * as node from './primitives-node.ts';

const both: readonly Primitives[] = [node, noble];
const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
const messages = fc.uint8Array({ maxLength: 200 });
const pkcs8 = (seed: Uint8Array) => Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
const hex = (bytes: Uint8Array | undefined) => (bytes === undefined ? 'none' : Buffer.from(bytes).toString('hex'));

/** What each says, in words. */
const verdicts = (raw: Uint8Array, message: Uint8Array, signature: Uint8Array) =>
  both.map(({ ed25519Public }) => ed25519Public(raw)?.(message, signature) ?? 'no key');

/** Points of order 1, 2, 4 and 8, canonical and not (the list of "Taming the many EdDSAs", table 6b). */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0100000000000000000000000000000000000000000000000000000000000080',
];

describe('node and noble agree on', () => {
  it('SHA-256 and base64', () => {
    fc.assert(
      fc.property(messages, messages, (a, b) => {
        expect(hex(noble.sha256(a, b))).toBe(hex(node.sha256(a, b)));
        expect(noble.toBase64(a)).toBe(node.toBase64(a));
        expect(hex(noble.fromBase64(noble.toBase64(a)))).toBe(hex(a));
      }),
    );
  });

  it('keys and signatures, to the byte', () => {
    fc.assert(
      fc.property(seeds, messages, (seed, message) => {
        const [ours, theirs] = both.map(({ ed25519Private }) => ed25519Private(pkcs8(seed)));
        expect(hex(ours?.publicKey)).toBe(hex(theirs?.publicKey));
        expect(hex(ours?.sign(message))).toBe(hex(theirs?.sign(message)));
      }),
      { numRuns: 20 },
    );
  });

  it('damaged signatures, messages and keys', () => {
    fc.assert(
      fc.property(
        seeds,
        messages,
        fc.constantFrom('signature', 'message', 'key', 'none'),
        fc.nat(63),
        fc.integer({ min: 1, max: 255 }),
        (seed, message, what, at, flip) => {
          const signer = node.ed25519Private(pkcs8(seed));
          const damage = (bytes: Uint8Array, name: string) =>
            bytes.map((byte, i) => (what === name && i === at % bytes.length ? byte ^ flip : byte));
          const signature = signer?.sign(message) ?? new Uint8Array();
          const [ours, theirs] = verdicts(
            damage(signer?.publicKey ?? new Uint8Array(), 'key'),
            damage(message, 'message'),
            damage(signature, 'signature'),
          );
          expect(ours).toBe(theirs);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keys of small order and spellings that are not canonical: none', () => {
    for (const raw of SMALL_ORDER) {
      const forged = Buffer.concat([Buffer.from(raw, 'hex'), Buffer.alloc(32)]);
      expect(verdicts(Buffer.from(raw, 'hex'), new Uint8Array(), forged)).toEqual(['no key', 'no key']);
    }
  });

  it('a key with a torsion part: none', () => {
    const torsion = ed25519.Point.fromHex(SMALL_ORDER[4] ?? '');
    const mixed = ed25519.Point.BASE.multiply(5n).add(torsion).toBytes();
    expect(verdicts(mixed, new Uint8Array(), new Uint8Array(64))).toEqual(['no key', 'no key']);
  });

  it('a signature whose R has a torsion part, which cofactored verification takes: false', () => {
    const { Point } = ed25519;
    const order = Point.Fn.ORDER;
    const secret = 1_234_567n;
    const message = new TextEncoder().encode('message');
    const publicKey = Point.BASE.multiply(secret).toBytes();
    const nonce = 987_654_321n;
    const r = Point.BASE.multiply(nonce)
      .add(Point.fromHex(SMALL_ORDER[4] ?? ''))
      .toBytes();
    const k = BigInt(`0x${hex(createHash('sha512').update(r).update(publicKey).update(message).digest().reverse())}`) % order;
    const s = (nonce + k * secret) % order;
    const signature = Buffer.concat([r, Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()]);
    expect(ed25519.verify(signature, message, publicKey, { zip215: false })).toBe(true);
    expect(verdicts(publicKey, message, signature)).toEqual([false, false]);
  });

  it('a scalar above the group order: false', () => {
    const signer = node.ed25519Private(pkcs8(new Uint8Array(32)));
    const signature = signer?.sign(new Uint8Array()) ?? new Uint8Array();
    const s = BigInt(`0x${hex(signature.slice(32).reverse())}`) + ed25519.Point.Fn.ORDER;
    const malleated = Buffer.concat([signature.slice(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()]);
    expect(verdicts(signer?.publicKey ?? new Uint8Array(), new Uint8Array(), malleated)).toEqual([false, false]);
  });

  it('what is no Ed25519 private key: none', () => {
    const rsa = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    for (const { ed25519Private } of both) {
      expect(ed25519Private(new Uint8Array(48))).toBeUndefined();
      expect(ed25519Private(new Uint8Array(5))).toBeUndefined();
      expect(ed25519Private(rsa)).toBeUndefined();
    }
  });
});

describe('in a browser', () => {
  it('nothing but the Node half reaches for node: modules, and the package sends browsers to the other', () => {
    const sources = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
    const reaching = sources.filter((name) =>
      /^import (?!type ).*'node:/m.test(readFileSync(join(import.meta.dirname, name), 'utf8')),
    );
    expect(reaching).toEqual(['primitives-node.ts']);
    const { imports } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'));
    expect(imports['#primitives']).toEqual({ node: './src/primitives-node.ts', default: './src/primitives-noble.ts' });
  });
});
