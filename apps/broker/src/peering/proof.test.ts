import { digest, trustDomain } from '@carnet/events';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SECRET_BYTES } from './limits.ts';
import { answerOf, codeOf, type Exchange, isAnswer, isCode, isProof, proofOf, transcriptOf, verifierOf } from './proof.ts';

const secrets = fc.uint8Array({ minLength: SECRET_BYTES, maxLength: SECRET_BYTES });
const fingerprint = (byte: string) => digest.parse(byte.repeat(32));
const exchange: Exchange = {
  invitation: '0123456789abcdef',
  root: fingerprint('01'),
  bus: trustDomain.parse('bus.example'),
  inviter: { domain: trustDomain.parse('csp-a.example'), issuer: fingerprint('0a'), eventKey: fingerprint('1a'), nonce: 'aa' },
  joiner: { domain: trustDomain.parse('csp-b.example'), issuer: fingerprint('0b'), eventKey: fingerprint('1b'), nonce: 'bb' },
};
const transcript = transcriptOf(exchange);

/** The same exchange, but for one thing that one of the two saw otherwise. */
const OTHERS: Readonly<Record<string, Exchange>> = {
  invitation: { ...exchange, invitation: 'fedcba9876543210' },
  root: { ...exchange, root: fingerprint('02') },
  bus: { ...exchange, bus: trustDomain.parse('other.example') },
  'inviter’s domain': { ...exchange, inviter: { ...exchange.inviter, domain: trustDomain.parse('csp-c.example') } },
  'inviter’s authority': { ...exchange, inviter: { ...exchange.inviter, issuer: fingerprint('0c') } },
  'inviter’s event key': { ...exchange, inviter: { ...exchange.inviter, eventKey: fingerprint('1c') } },
  'inviter’s nonce': { ...exchange, inviter: { ...exchange.inviter, nonce: 'cc' } },
  'joiner’s domain': { ...exchange, joiner: { ...exchange.joiner, domain: trustDomain.parse('csp-c.example') } },
  'joiner’s authority': { ...exchange, joiner: { ...exchange.joiner, issuer: fingerprint('0c') } },
  'joiner’s event key': { ...exchange, joiner: { ...exchange.joiner, eventKey: fingerprint('1c') } },
  'joiner’s nonce': { ...exchange, joiner: { ...exchange.joiner, nonce: 'cc' } },
  sides: { ...exchange, inviter: exchange.joiner, joiner: exchange.inviter },
};

describe('proofs of one secret', () => {
  it('are believed by who knows it, and by nobody for another secret', () => {
    fc.assert(
      fc.property(secrets, secrets, (secret, other) => {
        const verifier = verifierOf(secret);
        expect(isProof(verifier, transcript, proofOf(secret, transcript))).toBe(true);
        expect(isAnswer(secret, transcript, answerOf(verifier, transcript))).toBe(true);
        fc.pre(!Buffer.from(secret).equals(Buffer.from(other)));
        expect(isProof(verifier, transcript, proofOf(other, transcript))).toBe(false);
        expect(isAnswer(other, transcript, answerOf(verifier, transcript))).toBe(false);
      }),
    );
  });

  it.each(Object.entries(OTHERS))('are worth nothing where the other side saw another %s, and the codes differ', (_, other) => {
    const secret = new Uint8Array(SECRET_BYTES).fill(7);
    const seen = transcriptOf(other);
    expect(isProof(verifierOf(secret), transcript, proofOf(secret, seen))).toBe(false);
    expect(isAnswer(secret, transcript, answerOf(verifierOf(secret), seen))).toBe(false);
    expect(codeOf(seen)).not.toBe(codeOf(transcript));
  });

  it('are not made from what is kept: whoever steals the verifier proves nothing as the one who joins', () => {
    const secret = new Uint8Array(SECRET_BYTES).fill(7);
    const { storedKey, serverKey } = verifierOf(secret);
    for (const stolen of [storedKey, serverKey]) {
      expect(stolen).not.toContain(Buffer.from(secret).toString('hex'));
      expect(isProof(verifierOf(secret), transcript, proofOf(Buffer.from(stolen, 'hex'), transcript))).toBe(false);
    }
  });
});

it('the code is thirty digits in groups of five, typed with or without them', () => {
  const code = codeOf(transcript);
  expect(code).toMatch(/^(\d{5} ){5}\d{5}$/);
  expect(isCode(transcript, code)).toBe(true);
  expect(isCode(transcript, code.replaceAll(' ', '-'))).toBe(true);
  expect(isCode(transcript, code.replaceAll(' ', ''))).toBe(true);
  expect(isCode(transcript, code.slice(1))).toBe(false);
  expect(isCode(transcript, '')).toBe(false);
});
