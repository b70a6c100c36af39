import { type DsseEnvelope, PAYLOAD_TYPES, policyAnnounced } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import type { ACCREDITATION_FAULTS } from './accreditation.ts';
import {
  type Announced,
  decideMove,
  disagreement,
  downgradeOf,
  highestAnnounced,
  type Move,
  openPolicySet,
  tokensAbout,
} from './index.ts';
import { ACCREDITOR, accrediting, crypto, keyOf, publicKeyOf, revoking, signedBy } from './testing/owners.ts';
import { A, B, C, filesOf, intentOf, receiving, sending, specWith } from './testing/sets.ts';

const ALL = '@id("all") permit (principal, action, resource);';
const RECEIVING = `${ALL}
@id("only-accredited") @reason("ACCREDITATION_MISSING")
forbid (principal, action == Action::"receive", resource)
unless { context.accredited.contains("accreditor.example:c5") && context.accreditedLevel >= 2 };`;
const token = (change: object = {}, by = ACCREDITOR): DsseEnvelope =>
  signedBy(by, PAYLOAD_TYPES.accreditation, { ...accrediting, ...change });

type Files = { readonly accreditors?: readonly object[]; readonly known?: readonly object[]; readonly rules?: string };
const files = ({ accreditors = [accreditor()], known = [], rules = ALL }: Files) =>
  new Map([...filesOf(rules), ['accreditors.json', JSON.stringify(accreditors)], ['accreditations.json', JSON.stringify(known)]]);
const accreditor = (serials: readonly string[] = [], number = 1, by = ACCREDITOR) => ({
  issuer: accrediting.issuer,
  publicKey: publicKeyOf(ACCREDITOR),
  revocations: revoking(by, number, serials),
});
function setWith(of: Files) {
  const opened = openPolicySet(files(of), crypto);
  if (!opened.ok) throw new Error(`${opened.code}: ${opened.text}`);
  return opened.value;
}

const demanding = (accreditations: readonly string[]): Partial<Move> => ({ spec: specWith({}, { accreditations }) });
const C5 = demanding(['accreditor.example:c5']);
function judged(set: ReturnType<typeof setWith>, move: Move, ask = sending) {
  const decision = decideMove(set, ask(move), move);
  expect(disagreement(set, move, decision)).toBeUndefined();
  return [decision.allowed, ...decision.reasons.map(({ code }) => code)];
}

describe('a VM that demands an accreditation goes', () => {
  it.each<readonly [string, Files, (typeof ACCREDITATION_FAULTS)[number] | 'ALLOWED']>([
    ['to who has it', { known: [token()] }, 'ALLOWED'],
    [
      'to who has it beside others',
      { known: [token({ claims: ['a', 'c5'], serial: '2' }), token({ claims: ['b'] })] },
      'ALLOWED',
    ],
    ['to who has it anew', { known: [token(), token({ serial: '2' })], accreditors: [accreditor(['1'])] }, 'ALLOWED'],
    ['not to who has none', {}, 'ACCREDITATION_MISSING'],
    ['not to who has another claim', { known: [token({ claims: ['c6'] })] }, 'ACCREDITATION_MISSING'],
    ['not by another CSP’s token', { known: [token({ subject: C })] }, 'ACCREDITATION_MISSING'],
    ['not by what says more', { known: [token({ anything: 1 })] }, 'ACCREDITATION_MISSING'],
    ['not by whom nobody accepts', { known: [token()], accreditors: [] }, 'ACCREDITATION_NOT_ACCEPTED'],
    ['not by who signs in that name', { known: [token({}, keyOf('the target'))] }, 'ACCREDITATION_NOT_ACCEPTED'],
    [
      'not by a signature of another kind',
      { known: [signedBy(ACCREDITOR, PAYLOAD_TYPES.consent, accrediting)] },
      'ACCREDITATION_NOT_ACCEPTED',
    ],
    ['not when it is over', { known: [token({ notAfter: '2026-11-23T09:59:59.999Z' })] }, 'ACCREDITATION_EXPIRED'],
    ['not before it begins', { known: [token({ notBefore: '2026-11-23T10:00:00.001Z' })] }, 'ACCREDITATION_EXPIRED'],
    ['not when it is revoked', { known: [token()], accreditors: [accreditor(['1'])] }, 'ACCREDITATION_REVOKED'],
  ])('%s', (_, of, code) => {
    expect(judged(setWith(of), intentOf(C5))).toEqual([code === 'ALLOWED', code]);
  });

  it('where all that it demands is had, and nowhere else', () => {
    const both = intentOf(demanding(['accreditor.example:c5', 'accreditor.example:c6']));
    expect(judged(setWith({ known: [token()] }), both)).toEqual([false, 'ACCREDITATION_MISSING']);
    expect(judged(setWith({ known: [token(), token({ claims: ['c6'], serial: '2' })] }), both)).toEqual([true, 'ALLOWED']);
  });

  it('not by a token that only the intent brings: who asks does not accredit the target', () => {
    expect(judged(setWith({}), intentOf({ ...C5, accreditations: [token()] }))).toEqual([false, 'ACCREDITATION_MISSING']);
  });
});

describe('a target', () => {
  const set = setWith({ rules: RECEIVING });
  const from = (...accreditations: readonly DsseEnvelope[]): Move =>
    intentOf({ source: B, target: A, ...(accreditations.length === 0 ? {} : { accreditations }) });
  it('may ask for accreditations of the source, which come with the intent', () => {
    expect(judged(set, from(token()), receiving)).toEqual([true, 'ALLOWED']);
    for (const other of [[], [token({ level: 1 })], [token({ subject: C })], [token({}, keyOf('the source'))]])
      expect(judged(set, from(...other), receiving)).toEqual([false, 'ACCREDITATION_MISSING']);
  });
});

describe('a set', () => {
  it('shows its own tokens, whoever accepts them', () => {
    const { accreditations } = setWith({ known: [token({ subject: A }), token()], accreditors: [] });
    expect(tokensAbout(crypto, accreditations, A)).toEqual([token({ subject: A })]);
  });

  it.each<readonly [string, readonly object[]]>([
    ['a list that another signed', [accreditor([], 1, keyOf('another'))]],
    ['an accreditor twice', [accreditor(), accreditor()]],
    ['a list of another', [{ ...accreditor(), issuer: 'other.example' }]],
    ['no list', [{ issuer: accrediting.issuer, publicKey: publicKeyOf(ACCREDITOR) }]],
  ])('with %s is refused', (_, accreditors) => {
    expect(openPolicySet(files({ accreditors }), crypto)).toMatchObject({ ok: false, code: 'POLICY_FILE_INVALID' });
  });

  it('has another digest for each token and list, and says the number of the list', () => {
    const sets = [setWith({}), setWith({ known: [token()] }), setWith({ accreditors: [accreditor([], 2)] })];
    expect(new Set(sets.map(({ ruledBy }) => ruledBy.policySet)).size).toBe(3);
    for (const { announced } of sets) expect(policyAnnounced.parse(announced)).toEqual(announced);
    expect(sets[2]?.announced.revocations).toEqual([{ issuer: accrediting.issuer, number: 2 }]);
  });

  it('never goes back to an older list, whatever its version', () => {
    const [older, newer] = [setWith({}), setWith({ accreditors: [accreditor(['1'], 2)] })];
    const later = (set: typeof older) => ({ announced: { ...set.announced, version: 9 } });
    expect(downgradeOf(later(older), newer.announced)?.code).toBe('REVOCATIONS_DOWNGRADED');
    expect(downgradeOf(later(newer), older.announced)).toBeUndefined();
    expect(downgradeOf(later(newer), newer.announced)).toBeUndefined();
    expect(downgradeOf(later(setWith({ accreditors: [] })), newer.announced)).toBeUndefined();
  });

  it('nor by way of a set without one, or of an older one that was announced all the same', () => {
    const [older, none, newer] = [setWith({}), setWith({ accreditors: [] }), setWith({ accreditors: [accreditor(['1'], 2)] })];
    const later = (set: typeof older) => ({ announced: { ...set.announced, version: 9 } });
    for (const between of [none, older]) {
      const highest = [newer, later(between)].reduce<Announced | undefined>(
        (before, { announced }) => highestAnnounced(before, announced),
        undefined,
      );
      expect(downgradeOf({ announced: { ...older.announced, version: 10 } }, highest)?.code).toBe('REVOCATIONS_DOWNGRADED');
      expect(downgradeOf({ announced: { ...newer.announced, version: 10 } }, highest)).toBeUndefined();
    }
    expect(highestAnnounced({ version: 9, policySet: newer.announced.policySet }, older.announced)).toMatchObject({ version: 9 });
  });
});
