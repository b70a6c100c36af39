import { digest, timestamp, trustDomain } from '@carnet/events';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Invitation, readInvitation, writeInvitation } from './invitation.ts';
import { INVITATION_CHARS_MAX, SECRET_BYTES } from './limits.ts';

const hex = (chars: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${chars}}$`));
const domain = fc.stringMatching(/^[a-z][a-z0-9]{0,20}\.example$/).map((text) => trustDomain.parse(text));
const invitations: fc.Arbitrary<Invitation> = fc.record({
  id: hex(16),
  from: domain,
  to: domain,
  url: fc.constantFrom('https://broker.csp-a.example:8444', 'https://203.0.113.7', 'https://[2001:db8::7]:8444'),
  root: hex(64).map((text) => digest.parse(text)),
  issuer: hex(64).map((text) => digest.parse(text)),
  until: fc
    .date({ min: new Date('2026-01-01'), max: new Date('2030-01-01'), noInvalidDate: true })
    .map((date) => timestamp.parse(date.toISOString())),
  secret: fc.uint8Array({ minLength: SECRET_BYTES, maxLength: SECRET_BYTES }),
});
const [sample] = fc.sample(invitations, { numRuns: 1, seed: 7 });
if (sample === undefined) throw new Error('a sample was asked for');
const codeOf = (text: string): string => {
  const read = readInvitation(text);
  return read.ok ? 'ok' : read.code;
};

describe('an invitation', () => {
  it('is one line of letters, digits, dots and dashes that says all of it, also after mail has broken the line', () => {
    fc.assert(
      fc.property(invitations, fc.nat(), (invitation, at) => {
        const text = writeInvitation(invitation);
        expect(text).toMatch(/^carnet-invite-1\.[A-Za-z0-9_-]+\.[0-9a-f]{8}$/);
        expect(text.length).toBeLessThan(INVITATION_CHARS_MAX);
        expect(readInvitation(text)).toEqual({ ok: true, value: invitation });
        const cut = at % text.length;
        expect(readInvitation(`  ${text.slice(0, cut)}\r\n ${text.slice(cut)}\n`)).toEqual({ ok: true, value: invitation });
      }),
    );
  });

  it('of which one character is another, or one is missing, is none', () => {
    fc.assert(
      fc.property(invitations, fc.nat(), fc.constantFrom(...'aB3-_.'), (invitation, at, other) => {
        const text = writeInvitation(invitation);
        const place = at % text.length;
        fc.pre(text[place] !== other);
        expect(codeOf(text.slice(0, place) + other + text.slice(place + 1))).toBe('INVITATION_MALFORMED');
        expect(codeOf(text.slice(0, place) + text.slice(place + 1))).toBe('INVITATION_MALFORMED');
      }),
    );
  });

  it('any text gets an answer, and no answer repeats what it held', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(codeOf(text)).toBe('INVITATION_MALFORMED');
      }),
    );
    const broken = readInvitation(`${writeInvitation(sample)}0`);
    expect(JSON.stringify(broken)).not.toContain(Buffer.from(sample.secret).toString('hex').slice(0, 16));
  });

  it.each<[string, object]>([
    ['an address that is not https', { url: 'http://broker.csp-a.example' }],
    ['an address with a user', { url: 'https://a@broker.csp-a.example' }],
    ['an address with a path', { url: 'https://broker.csp-a.example/x' }],
    ['a short secret', { secret: 'ab' }],
    ['a member that is not known', { more: 1 }],
    ['no fingerprint', { issuer: undefined }],
  ])('with %s is refused, although its check digits fit', async (_, changed) => {
    const { sha256Hex } = await import('@carnet/trust');
    const said = { ...sample, secret: Buffer.from(sample.secret).toString('hex'), ...changed };
    const body = Buffer.from(JSON.stringify(said)).toString('base64url');
    const check = sha256Hex(Buffer.from(`carnet-invite-1.${body}`)).slice(0, 8);
    expect(codeOf(`carnet-invite-1.${body}.${check}`)).toBe('INVITATION_MALFORMED');
  });
});
