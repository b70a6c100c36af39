import { type DsseEnvelope, dsseEnvelope, PAYLOAD_TYPES, policyDecision } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONSENT_FAULTS } from './consent.ts';
import { decideMove, disagreement, imageOf, type Move } from './index.ts';
import { consentBy, consenting, crypto, keyOf, OWNER, publicKeyOf, signedBy } from './testing/owners.ts';
import { B, C, hash, intentOf, receiving, sending, setOf, specWith, VM } from './testing/sets.ts';

const SET = setOf('@id("all") permit (principal, action, resource);');
const owner = publicKeyOf(OWNER);
const OWNED = specWith({}, { owner });
const valid = consenting({ image: imageOf(OWNED, hash), epoch: 1 });
const other = keyOf('somebody else');
const OTHER_VM = VM.replace('1b4e', '2b4e');

const moved = (consent: DsseEnvelope | undefined, change: Partial<Move> = {}): Move => ({
  ...intentOf(),
  spec: OWNED,
  ...(consent === undefined ? {} : { consent }),
  ...change,
});
/** By both sides; each replays to itself. */
function judged(move: Move) {
  const decisions = [sending(move), receiving(move)].map((asked) => decideMove(SET, asked, move));
  for (const decision of decisions) {
    expect(policyDecision.parse(decision)).toEqual(decision);
    expect(disagreement(SET, move, decision)).toBeUndefined();
  }
  return decisions.map(({ allowed, reasons }) => [allowed, ...reasons.map(({ code }) => code)]);
}
const both = (verdict: readonly unknown[]) => [verdict, verdict];

describe('the owner’s consent', () => {
  it('lets both sides go on', () => {
    expect(judged(moved(consentBy(OWNER, valid)))).toEqual(both([true, 'ALLOWED']));
    const { epoch: _, ...window } = valid as { readonly epoch: number };
    expect(judged(moved(consentBy(OWNER, window), { epoch: 7 }))).toEqual(both([true, 'ALLOWED']));
  });

  it.each<readonly [string, DsseEnvelope | undefined, (typeof CONSENT_FAULTS)[number]]>([
    ['none', undefined, 'CONSENT_MISSING'],
    ['another’s signature', consentBy(other, valid), 'CONSENT_INVALID'],
    [
      'another’s signature under the owner’s name',
      {
        ...consentBy(other, valid),
        signatures: [{ keyid: hash(owner), sig: consentBy(other, valid).signatures[0]?.sig ?? '' }],
      },
      'CONSENT_INVALID',
    ],
    ['signed as something else', signedBy(OWNER, PAYLOAD_TYPES.request, valid), 'CONSENT_INVALID'],
    ['to something more', consentBy(OWNER, { ...valid, anything: true }), 'CONSENT_INVALID'],
    ['to something else', consentBy(OWNER, { ...valid, consents: 'deletion' }), 'CONSENT_INVALID'],
    ['to no mode', consentBy(OWNER, { ...valid, modes: [] }), 'CONSENT_INVALID'],
    ['to another VM', consentBy(OWNER, { ...valid, vm: OTHER_VM }), 'CONSENT_OTHER_VM'],
    ['to another image', consentBy(OWNER, { ...valid, image: hash('other') }), 'CONSENT_OTHER_IMAGE'],
    ['to another source', consentBy(OWNER, { ...valid, source: C }), 'CONSENT_OTHER_DESTINATION'],
    ['to another target', consentBy(OWNER, { ...valid, target: C }), 'CONSENT_OTHER_DESTINATION'],
    ['to another mode', consentBy(OWNER, { ...valid, modes: ['suspend'] }), 'CONSENT_OTHER_MODE'],
    ['not yet', consentBy(OWNER, { ...valid, notBefore: '2026-11-23T10:00:00.001Z' }), 'CONSENT_OUTSIDE_WINDOW'],
    ['no more', consentBy(OWNER, { ...valid, notAfter: '2026-11-23T09:59:59.999Z' }), 'CONSENT_OUTSIDE_WINDOW'],
    ['not to the end', consentBy(OWNER, { ...valid, notAfter: '2026-11-23T10:59:59.999Z' }), 'CONSENT_OUTSIDE_WINDOW'],
    ['to an earlier attempt', consentBy(OWNER, { ...valid, epoch: 2 }), 'CONSENT_USED'],
  ])('%s: denied by both sides, and nothing else is wrong', (_, consent, code) => {
    expect(judged(moved(consent))).toEqual(both([false, code]));
  });

  it('is for what the VM is, not for what its CSPs say of it', () => {
    const consent = consentBy(OWNER, valid);
    expect(judged(moved(consent, { spec: specWith({}, { owner, labels: ['web'] }) }))).toEqual(both([true, 'ALLOWED']));
    for (const change of [{ memoryMiB: 512 }, { disks: [{ ...OWNED.disks[0], key: '9b4e28ba-2fa1-41d2-883f-0016d3cca427' }] }])
      expect(judged(moved(consent, { spec: specWith(change, { owner }) }))).toEqual(both([false, 'CONSENT_OTHER_IMAGE']));
  });

  it('is asked for of nobody where there is no owner, and means nothing there', () => {
    const free = { spec: specWith() };
    expect(judged(moved(undefined, free))).toEqual(both([true, 'ALLOWED']));
    expect(judged(moved(consentBy(other, valid), free))).toEqual(both([true, 'ALLOWED']));
  });

  it('of another owner is none', () => {
    const spec = specWith({}, { owner: publicKeyOf(other) });
    expect(judged(moved(consentBy(OWNER, valid), { spec }))).toEqual(both([false, 'CONSENT_INVALID']));
  });
});

it('a consent with one byte changed is none', () => {
  const good = consentBy(OWNER, valid);
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const payload = Buffer.from(good.payload, 'base64');
      payload[at % payload.length] = (payload[at % payload.length] ?? 0) ^ flip;
      const changed = dsseEnvelope.parse({ ...good, payload: payload.toString('base64') });
      expect(judged(moved(changed))).toEqual(both([false, 'CONSENT_INVALID']));
    }),
    { numRuns: 50 },
  );
});

it('each fault has one policy of its own, that no set lifts', () => {
  const reasons = SET.policies
    .filter(({ id }) => id.startsWith('carnet/consent'))
    .map(({ annotations }) => annotations['reason']);
  expect(reasons.toSorted()).toEqual([...CONSENT_FAULTS].toSorted());
});

it('the second opinion on signatures has the owner’s key right', () => {
  expect(crypto.signed(consentBy(OWNER, valid), PAYLOAD_TYPES.consent, owner)).toEqual(valid);
  expect(crypto.signed(consentBy(OWNER, valid), PAYLOAD_TYPES.consent, publicKeyOf(other))).toBeUndefined();
  expect(intentOf().target).toBe(B);
});
