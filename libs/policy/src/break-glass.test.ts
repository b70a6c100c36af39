import {
  type BreakGlassDecision,
  type BreakGlassPerson,
  type DsseEnvelope,
  digest,
  epoch,
  migrationId,
  PAYLOAD_TYPES,
  spiffeId,
} from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { type BreakGlassCase, type BreakGlassCode, breakGlassFault, decideBreakGlass, questionsAbout } from './index.ts';
import { crypto, keyOf, OWNER, publicKeyOf, signedBy } from './testing/owners.ts';
import { A, B, ENTITIES, intentOf, MONDAY, setOf, user, VM } from './testing/sets.ts';

const TIME = '2026-11-23T12:00:00.000Z';
const CASE: BreakGlassCase = {
  migration: migrationId.parse('01936ad4-0000-7000-8000-000000000001'),
  vm: VM,
  epoch: epoch.parse(1),
  release: digest.parse('ab'.repeat(32)),
  source: A,
  target: B,
  owner: publicKeyOf(OWNER),
  time: TIME,
};
const { migration, vm, epoch: attempt, release, target } = CASE;
const SAID = {
  says: 'resume-at-source',
  migration,
  vm,
  epoch: attempt,
  release,
  target,
  reason: 'the target burnt down',
  at: '2026-11-23T11:00:00.000Z',
  notAfter: '2026-11-23T13:00:00.000Z',
};
const FENCED = { ...SAID, says: 'target-is-fenced' };

/** A person whose certificate is a word: signed with the key that follows from the name. */
const person = (
  name: string,
  said: object = SAID,
  by = name,
  principal = `spiffe://${A}/operator/${name}`,
): BreakGlassPerson => ({
  principal: spiffeId.parse(principal),
  certificate: Buffer.from(name).toString('base64'),
  envelope: signedBy(keyOf(by), PAYLOAD_TYPES.breakGlass, said),
});
const ports = {
  signed: crypto.signed,
  openPerson: ({ certificate, envelope }: BreakGlassPerson) =>
    crypto.signed(envelope, PAYLOAD_TYPES.breakGlass, publicKeyOf(keyOf(Buffer.from(certificate, 'base64').toString()))),
};
const owner = (said: object = FENCED, key = OWNER, type: string = PAYLOAD_TYPES.breakGlass): DsseEnvelope =>
  signedBy(key, type, said);
const anna = person('anna');
const fault = (persons: readonly BreakGlassPerson[], by = owner(), of: Partial<BreakGlassCase> = {}) =>
  breakGlassFault(ports, { persons, owner: by }, { ...CASE, ...of });

describe('what breaks the glass', () => {
  it('are the words of two persons of the source and of the owner', () => {
    expect(fault([anna, person('ben')])).toBeUndefined();
    expect(fault([anna, person('ben'), person('carol')])).toBeUndefined();
  });

  /** Each true but for one thing. */
  const WRONG: readonly (readonly [string, object])[] = [
    ['another migration', { migration: '01936ad4-0000-7000-8000-000000000002' }],
    ['another VM', { vm: VM.replace('1b4e', '2b4e') }],
    ['another epoch', { epoch: 2 }],
    ['another release', { release: 'cd'.repeat(32) }],
    ['another target', { target: A }],
    ['no reason', { reason: '' }],
    ['one member too many', { more: 1 }],
  ];
  it.each([
    ...WRONG,
    ['what only the owner says', { says: 'target-is-fenced' }],
  ] as const)('no person who says %s', (_, change) => {
    expect(fault([anna, person('ben', { ...SAID, ...change })])).toBe('BREAK_GLASS_PERSON_FALSE');
  });
  it.each([...WRONG, ['what only persons say', { says: 'resume-at-source' }]] as const)('no owner who says %s', (_, change) => {
    expect(fault([anna, person('ben')], owner({ ...FENCED, ...change }))).toBe('BREAK_GLASS_OWNER_FALSE');
  });

  it.each<readonly [string, object]>([
    ['is over', { notAfter: '2026-11-23T11:59:59.999Z' }],
    ['is good for too long', { notAfter: '2026-11-24T11:00:00.001Z' }],
    ['is of tomorrow', { at: '2026-11-24T00:00:00.000Z', notAfter: '2026-11-24T01:00:00.000Z' }],
  ])('no statement that %s', (_, change) => {
    expect(fault([anna, person('ben', { ...SAID, ...change })])).toBe('BREAK_GLASS_EXPIRED');
    expect(fault([anna, person('ben')], owner({ ...FENCED, ...change }))).toBe('BREAK_GLASS_EXPIRED');
  });

  it.each<readonly [string, BreakGlassPerson, BreakGlassCode]>([
    ['twice', person('anna'), 'BREAK_GLASS_ONE_PERSON'],
    ['with another’s key', person('ben', SAID, 'mallory'), 'BREAK_GLASS_PERSON_FALSE'],
    ['of another CSP', person('ben', SAID, 'ben', `spiffe://${B}/operator/ben`), 'BREAK_GLASS_PERSON_FALSE'],
    ['that is a machine', person('ben', SAID, 'ben', `spiffe://${A}/agent/ben`), 'BREAK_GLASS_PERSON_FALSE'],
    ['without a name', person('ben', SAID, 'ben', `spiffe://${A}/operator`), 'BREAK_GLASS_PERSON_FALSE'],
  ])('no second person %s', (_, second, code) => {
    expect(fault([anna, second])).toBe(code);
  });

  /** Quoted by the source itself: a person whom its policies do not let is no part of a quorum, for whoever reads it. */
  it('no words of which the source says that its policies do not let them count', () => {
    const two = [anna, person('ben')];
    const set = setOf('@id("all") permit (principal, action, resource);', {
      entities: [...ENTITIES, ...two.map(({ principal }) => user(principal, ['operator']))],
    });
    const glass = { ...intentOf(), released: MONDAY };
    const names = two.map(({ principal }) => principal);
    const quoted = questionsAbout(glass, names, MONDAY).map((asked) => decideBreakGlass(set, asked, glass));
    const judged = (policy: readonly BreakGlassDecision[]) =>
      breakGlassFault(ports, { persons: two, owner: owner(), policy }, CASE);
    expect(judged(quoted)).toBeUndefined();
    const [first, second] = quoted;
    if (first === undefined || second === undefined) throw new Error('two were asked about');
    const denied = (one: BreakGlassDecision): BreakGlassDecision => ({ ...one, allowed: false });
    for (const policy of [[first, denied(second)], [denied(first), second], [first], [second, first], [first, first]])
      expect(judged(policy)).toBe('BREAK_GLASS_DENIED');
  });

  it('no other owner, no other kind of statement, no VM without an owner', () => {
    const two = [anna, person('ben')];
    expect(fault(two, owner(FENCED, keyOf('somebody')))).toBe('BREAK_GLASS_OWNER_FALSE');
    expect(fault(two, owner(FENCED, OWNER, PAYLOAD_TYPES.consent))).toBe('BREAK_GLASS_OWNER_FALSE');
    expect(fault(two, owner(), { owner: undefined })).toBe('BREAK_GLASS_OWNER_UNKNOWN');
  });
});
