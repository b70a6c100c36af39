import { digest } from '@carnet/events';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCertificate } from './certificate.ts';
import { chainValidator } from './chain-validator.ts';
import type { PkiCode } from './codes.ts';
import { subjectNames } from './extension-fields.ts';
import { type PathQuestion, validatePath } from './path.ts';
import { leafSigner } from './rsa-pss.ts';
import { base64, certify, createWorld, crlOf, domainA, domainB, HOUR_MS, idOf, NOW, NOW_MS, timeAt } from './testing/chains.ts';
import { questionOf } from './testing/oracle.ts';

const world = await createWorld();
const { root, a, b, leafKeys } = world;
const crls = [crlOf(root), crlOf(a), crlOf(b)];
const leaf = certify({ issuer: a, keys: leafKeys });
const good = questionOf(world, crls, { leaf });
const codeOf = (question: Partial<PathQuestion>) => {
  const result = validatePath({ ...good, ...question });
  return result.ok ? 'ok' : result.code;
};

describe('validatePath', () => {
  it('names the identity, and its key verifies what its holder signs', () => {
    const result = validatePath(good);
    const read = readCertificate(leaf);
    const leafDigest = read.ok ? read.value.digest : '';
    expect(result).toMatchObject({ ok: true, value: { spiffeId: 'spiffe://csp-a.example/broker', domain: domainA, leafDigest } });
    const signer = leafSigner(leafKeys.privateKey, leaf);
    const signature = signer.sign(Buffer.from('said'));
    expect(signer.keyid).toBe(leafDigest);
    expect(result.ok && result.value.verifier.verify(Buffer.from('said'), signature)).toBe(true);
    expect(result.ok && result.value.verifier.verify(Buffer.from('Said'), signature)).toBe(false);
  });

  it('has no signer for another key than the certificate’s', () => {
    expect(() => leafSigner(world.otherKeys.privateKey, leaf)).toThrow('KEY_MISMATCH');
  });

  it.each<[string, Partial<PathQuestion>, PkiCode]>([
    ['another domain', { trustDomain: domainB }, 'DOMAIN_MISMATCH'],
    ['another identity', { spiffeId: idOf('csp-a.example', 'agent/host-1') }, 'IDENTITY_MISMATCH'],
    ['another pinned leaf', { leafDigest: digest.parse('0'.repeat(64)) }, 'LEAF_MISMATCH'],
    ['no certificate', { chain: [] }, 'CHAIN_LENGTH'],
    ['a leaf alone', { chain: [base64(leaf)] }, 'CHAIN_LENGTH'],
    ['a long chain', { chain: Array.from({ length: 4 }, () => base64(leaf)) }, 'CHAIN_LENGTH'],
    [
      'bytes after the certificate',
      { chain: [base64(Uint8Array.of(...leaf, 0)), base64(a.certificate)] },
      'CERTIFICATE_MALFORMED',
    ],
    ['no DER', { chain: ['AAAA', base64(a.certificate)] }, 'CERTIFICATE_MALFORMED'],
    ['no roots', { roots: [] }, 'ROOT_UNKNOWN'],
    ['a broken CRL', { crls: [...crls, Uint8Array.of(0x30, 0)] }, 'CRL_MALFORMED'],
  ])('refuses %s', (_, question, code) => {
    expect(codeOf(question)).toBe(code);
  });

  it('never throws and never takes a damaged chain: any byte of leaf or intermediate', () => {
    const whole = [leaf, a.certificate];
    const places = fc.constantFrom(0, 1).chain((which) => fc.tuple(fc.constant(which), fc.nat((whole[which]?.length ?? 1) - 1)));
    fc.assert(
      fc.property(places, fc.integer({ min: 1, max: 255 }), ([which, at], flip) => {
        const chain = whole.map((der, n) => base64(der.map((byte, i) => (n === which && i === at ? byte ^ flip : byte))));
        expect(codeOf({ chain })).not.toBe('ok');
      }),
      { numRuns: 300 },
    );
  });

  it('takes no second spelling of a signature: unused bits that are none', () => {
    // BIT STRING of 384 octets (RSA-3072): tag, length 0x0181, unused bits 0.
    const spelt = (der: Uint8Array): Uint8Array => {
      const at = Buffer.from(der).lastIndexOf(Buffer.from('0382018100', 'hex')) + 4;
      return der.map((byte, i) => (i === at ? 1 : byte));
    };
    expect(codeOf({ crls: [crlOf(root), spelt(crlOf(a))] })).toBe('CRL_MALFORMED');
    expect(codeOf({ chain: [base64(spelt(leaf)), base64(a.certificate)] })).toBe('CERTIFICATE_MALFORMED');
  });

  it('never throws on a damaged CRL and never lets it clear anybody', () => {
    const list = crlOf(a);
    fc.assert(
      fc.property(fc.nat(list.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = list.map((byte, i) => (i === at ? byte ^ flip : byte));
        expect(codeOf({ crls: [crlOf(root), damaged] })).toMatch(/^CRL_/);
      }),
      { numRuns: 150 },
    );
  });
});

describe('chainValidator', () => {
  const store = () => ({ roots: [root.certificate], crls });
  const validate = chainValidator(store, () => NOW);

  it('takes the broker of the domain and nobody else of it', () => {
    const agent = certify({ issuer: a, keys: leafKeys, names: subjectNames(idOf('csp-a.example', 'agent/host-1'), []) });
    expect(validate(good.chain, domainA, NOW).ok).toBe(true);
    expect(validate([base64(agent), base64(a.certificate)], domainA, NOW)).toMatchObject({ code: 'IDENTITY_MISMATCH' });
    expect(validate(good.chain, domainB, NOW)).toMatchObject({ code: 'DOMAIN_MISMATCH' });
  });

  it('judges the certificate at the event’s time and the lists at ours', () => {
    expect(validate(good.chain, domainA, timeAt(NOW_MS + 48 * HOUR_MS))).toMatchObject({ code: 'EXPIRED' });
    const later = chainValidator(store, () => timeAt(NOW_MS + 48 * HOUR_MS));
    expect(later(good.chain, domainA, NOW)).toMatchObject({ code: 'CRL_STALE' });
  });
});
