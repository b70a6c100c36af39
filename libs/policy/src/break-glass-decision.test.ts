import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { breakGlassDecision, timestamp, type VmRestrictions } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import {
  asksAboutBreakGlass,
  breakGlassDisagreement,
  decideBreakGlass,
  type Glass,
  openPolicySet,
  type PolicySet,
  permitsNoBreakGlass,
  questionsAbout,
} from './index.ts';
import { SCHEMA } from './schema.ts';
import { crypto } from './testing/owners.ts';
import { A, ENTITIES, filesOf, intentOf, MONDAY, setOf, specWith, user } from './testing/sets.ts';

const [ANNA, BEN, ADA] = ['operator/anna', 'operator/ben', 'administrator/ada'].map((name) => `spiffe://${A}/${name}`) as [
  string,
  string,
  string,
];
const SAM = `spiffe://${A}/operator/sam`;
const PEOPLE = {
  entities: [
    ...ENTITIES,
    // Of another project than the VM: whoever takes a VM back in an emergency need not be of it.
    user(ANNA, ['operator'], [`${A}/other`]),
    user(BEN, ['operator']),
    user(ADA, ['administrator']),
    user(SAM, ['scheduler']),
  ],
};
const DEFAULT = readFileSync(join(import.meta.dirname, '../../../infra/dev/policies/moves.cedar'), 'utf8');
const NIGHT = timestamp.parse('2026-11-23T10:30:00.000Z');
const glassOf = (restrictions: Partial<VmRestrictions> = {}): Glass => ({
  ...intentOf({ spec: specWith({}, restrictions) }),
  released: MONDAY,
});
const decided = (rules: string, persons: readonly string[], glass = glassOf(), set: PolicySet = setOf(rules, PEOPLE)) =>
  questionsAbout(glass, persons, NIGHT).map((asked) => decideBreakGlass(set, asked, glass));
const codes = (of: ReturnType<typeof decided>): readonly string[] =>
  of.map(({ reasons }) => reasons.map(({ code }) => code).join());

describe('who breaks the glass, by policy', () => {
  it('is, by the set of the demonstration, whoever could without: operators and administrators of whatever project', () => {
    const decisions = decided(DEFAULT, [ANNA, BEN, ADA]);
    expect(decisions.map(({ allowed, determining }) => [allowed, determining])).toEqual(
      [ANNA, BEN, ADA].map(() => [true, ['break-glass']]),
    );
    for (const decision of decisions) expect(breakGlassDecision.parse(decision)).toEqual(decision);
    expect(codes(decided(DEFAULT, [ANNA, SAM]))).toEqual(['ALLOWED', 'BREAK_GLASS_DUTY']);
  });

  it('is nobody by a set that does not speak of it, as sets of versions before do not', () => {
    const moves = '@id("moves") permit (principal, action in [Action::"send", Action::"receive"], resource);';
    expect(codes(decided(moves, [ANNA, BEN]))).toEqual(['NOT_PERMITTED', 'NOT_PERMITTED']);
  });

  const ALL = '@id("all") permit (principal, action, resource);';
  const FORBID = (clause: string): string =>
    `${ALL} @id("own") @reason("GLASS_STAYS") @says("Not so.") @advice("Wait.")
forbid (principal, action == Action::"break-glass", resource) ${clause};`;
  it.each<readonly [string, string, Glass, readonly string[]]>([
    ['nobody', '', glassOf(), ['GLASS_STAYS', 'GLASS_STAYS']],
    ['operators', 'unless { principal in Role::"administrator" }', glassOf(), ['GLASS_STAYS', 'ALLOWED']],
    ['this label', 'when { resource.labels.contains("keep") }', glassOf({ labels: ['keep'] }), ['GLASS_STAYS', 'GLASS_STAYS']],
    ['another label', 'when { resource.labels.contains("keep") }', glassOf({ labels: ['other'] }), ['ALLOWED', 'ALLOWED']],
    ['levels', 'when { resource.level > 0 }', glassOf({ level: 1 }), ['GLASS_STAYS', 'GLASS_STAYS']],
    [
      'less than an hour after the release',
      'when { context.time.durationSince(context.released) < duration("1h") }',
      glassOf(),
      ['GLASS_STAYS', 'GLASS_STAYS'],
    ],
    [
      'half an hour after it',
      'when { context.time.durationSince(context.released) < duration("30m") }',
      glassOf(),
      ['ALLOWED', 'ALLOWED'],
    ],
    ['with whom is not there', `when { context.persons.contains(User::"${BEN}") }`, glassOf(), ['ALLOWED', 'ALLOWED']],
    ['with her', `when { context.persons.contains(User::"${ADA}") }`, glassOf(), ['GLASS_STAYS', 'GLASS_STAYS']],
  ])('is narrowed by own rules: %s', (_, clause, glass, expected) => {
    expect(codes(decided(FORBID(clause), [ANNA, ADA], glass))).toEqual(expected);
  });

  it('is nobody else, whatever a set permits', () => {
    expect(codes(decided(ALL, [SAM, `spiffe://${A}/viewer`, 'nobody']))).toEqual([
      'BREAK_GLASS_DUTY',
      'BREAK_GLASS_DUTY',
      'BREAK_GLASS_DUTY',
    ]);
  });
});

describe('a quoted decision', () => {
  const set = setOf(DEFAULT, PEOPLE);
  const glass = glassOf();
  const [question] = questionsAbout(glass, [ANNA, BEN], NIGHT);
  if (question === undefined) throw new Error('two are asked about');
  const good = decideBreakGlass(set, question, glass);

  it('replays', () => expect(breakGlassDisagreement(set, glass, question, good)).toBeUndefined());

  it.each<readonly [string, object]>([
    ['denies', { allowed: false }],
    ['names other policies', { determining: ['other'] }],
    ['gives other reasons', { reasons: [{ code: 'ALLOWED', text: 'so it is' }] }],
    ['was about another request', { request: crypto.hash('other') }],
    ['is about another person', { asked: { ...good.asked, principal: BEN } }],
    ['is about a release long ago', { asked: { ...good.asked, released: timestamp.parse('2026-11-22T10:00:00.000Z') } }],
    ['is about other persons beside', { asked: { ...good.asked, persons: [ANNA, ADA] } }],
  ])('does not if it %s', (_, change) => {
    expect(breakGlassDisagreement(set, glass, question, { ...good, ...change })).toBeDefined();
  });

  it('replays only for the VM as the intent has it', () => {
    expect(breakGlassDisagreement(set, glassOf({ labels: ['other'] }), question, good)).toBeDefined();
  });
});

it('a set of a version before this action was not asked about a broken glass', () => {
  expect(asksAboutBreakGlass(setOf(DEFAULT, PEOPLE))).toBe(true);
  const older = new Map([
    ...filesOf('@id("all") permit (principal, action == Action::"send", resource);'),
    ['carnet.cedarschema', SCHEMA.slice(0, SCHEMA.indexOf('// Asked by the source, of each user whose word'))],
    ['carnet.cedar', ''],
  ]);
  const opened = openPolicySet(older, crypto);
  if (!opened.ok) throw new Error(opened.text);
  expect([opened.value.isCurrent, asksAboutBreakGlass(opened.value)]).toEqual([false, false]);
});

it.each([
  ['the demonstration’s', DEFAULT, false],
  ['one that permits everything', '@id("all") permit (principal, action, resource);', false],
  ['one of a version before', '@id("moves") permit (principal, action in [Action::"send", Action::"receive"], resource);', true],
  ['one that permits only CSPs', '@id("csps") permit (principal is Csp, action, resource);', true],
  [
    'one that only forbids it',
    '@id("no") @reason("LEGAL_HOLD") forbid (principal, action == Action::"break-glass", resource);',
    true,
  ],
])('a set that permits it to nobody is told before it is needed: %s', (_, rules, expected) => {
  expect(permitsNoBreakGlass(setOf(rules, PEOPLE))).toBe(expected);
});
