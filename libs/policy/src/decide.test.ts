import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isPerson, isSamePerson, policyDecision, type VmRestrictions } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideApproval, decideMove, disagreement, restrictionsOf } from './index.ts';
import { OWNER, publicKeyOf } from './testing/owners.ts';
import {
  A,
  B,
  C,
  ENTITIES,
  intentOf,
  MONDAY,
  OPERATOR,
  receiving,
  SCHEDULER,
  SECOND,
  sending,
  setOf,
  specWith,
  user,
} from './testing/sets.ts';

const [ANNA, ANNA_ON_DUTY] = [`spiffe://${A}/operator/anna`, `spiffe://${A}/duty/anna`] as const;
const DEFAULT = readFileSync(join(import.meta.dirname, '../../../infra/dev/policies/moves.cedar'), 'utf8');
const SET = setOf(DEFAULT, { entities: [...ENTITIES, user(ANNA, ['operator']), user(ANNA_ON_DUTY, ['operator'])] });
type Intent = ReturnType<typeof intentOf>;

const send = (intent: Intent, facts = {}, set = SET) => decideMove(set, sending(intent, facts), intent);
const receive = (intent: Intent, facts = {}, set = SET) => decideMove(set, receiving(intent, facts), intent);
const codes = ({ reasons }: ReturnType<typeof send>): readonly string[] => reasons.map(({ code }) => code);
const vmWith = (restrictions: Parameters<typeof specWith>[1], change = {}): Partial<Intent> => ({
  spec: specWith(change, restrictions),
});

describe('the source', () => {
  it.each<readonly [string, Parameters<typeof intentOf>[0], object, readonly string[]]>([
    ['an operator of the project', {}, {}, ['ALLOWED']],
    ['a scheduler of the project', { asker: SCHEDULER }, {}, ['ALLOWED']],
    ['a viewer', { asker: `spiffe://${A}/viewer` }, {}, ['NOT_PERMITTED']],
    ['somebody nobody knows', { asker: 'nobody' }, {}, ['NOT_PERMITTED']],
    ['an operator of another project', { asker: `spiffe://${A}/stranger` }, {}, ['NOT_PERMITTED']],
    ['a VM of another project', vmWith({ project: 'secret' }), {}, ['NOT_PERMITTED']],
    ['a VM on hold', vmWith({ legalHold: true }), {}, ['LEGAL_HOLD']],
    ['a place of which nothing is known', { target: 'csp-d.example' as Intent['target'] }, {}, ['PLACE_UNKNOWN']],
    ['a VM that may enter it', vmWith({ jurisdictions: ['DE', 'EU', 'FR'] }), {}, ['ALLOWED']],
    ['a VM that may enter but one of its jurisdictions', vmWith({ jurisdictions: ['DE', 'EU'] }), {}, ['JURISDICTION_FORBIDDEN']],
    ['a VM that may go nowhere', vmWith({ jurisdictions: [] }), {}, ['JURISDICTION_FORBIDDEN']],
    ['a level that the target has', vmWith({ level: 1 }), {}, ['ALLOWED']],
    ['a level that it has not', vmWith({ level: 2 }), {}, ['LEVEL_TOO_LOW']],
    ['a guest that may not be sent on', { ...vmWith({ onward: false }), source: C, target: B }, {}, ['ONWARD_FORBIDDEN']],
    ['a guest that may not be sent on, home', { ...vmWith({ onward: false }), source: B, target: A }, {}, ['ALLOWED']],
    ['its own VM that nobody else may send on', vmWith({ onward: false }), {}, ['ALLOWED']],
    ['too much memory', vmWith({}, { memoryMiB: 4_097 }), {}, ['TOO_LARGE']],
    ['a full quota', {}, { open: { migrations: 1_000, memoryMiB: 0, diskBytes: 0 } }, ['QUOTA_EXCEEDED']],
    ['one that needs two persons', vmWith({ labels: ['two-persons'] }), {}, ['APPROVAL_NEEDED']],
    ['two persons', { ...vmWith({ labels: ['two-persons'] }), asker: SCHEDULER, approvers: [OPERATOR] }, {}, ['ALLOWED']],
    [
      'one person twice',
      { ...vmWith({ labels: ['two-persons'] }), approvers: [OPERATOR] },
      {},
      ['SELF_APPROVAL', 'APPROVAL_NEEDED'],
    ],
    [
      'one person under two names',
      { ...vmWith({ labels: ['two-persons'] }), asker: ANNA, approvers: [ANNA_ON_DUTY] },
      {},
      ['SELF_APPROVAL', 'APPROVAL_NEEDED'],
    ],
    [
      'one person under two names, beside a second one',
      { ...vmWith({ labels: ['two-persons'] }), asker: ANNA, approvers: [OPERATOR, ANNA_ON_DUTY] },
      {},
      ['SELF_APPROVAL'],
    ],
    ['a second person who is also the first', { approvers: [SECOND, OPERATOR] }, {}, ['SELF_APPROVAL']],
    ['an approval of who may not', { ...vmWith({ labels: ['two-persons'] }), approvers: [SCHEDULER] }, {}, ['APPROVAL_NEEDED']],
    [
      'everything at once',
      vmWith({ legalHold: true, level: 9, jurisdictions: [] }, { vcpus: 5 }),
      {},
      ['JURISDICTION_FORBIDDEN', 'LEGAL_HOLD', 'LEVEL_TOO_LOW', 'TOO_LARGE'],
    ],
  ])('%s', (_, change, facts, expected) => {
    const decision = send(intentOf(change), facts);
    expect([decision.allowed, codes(decision)]).toEqual([expected[0] === 'ALLOWED', expected]);
    expect(policyDecision.parse(decision)).toEqual(decision);
  });
});

describe('the target', () => {
  const fromB = { source: B, target: A };
  it.each<readonly [string, Parameters<typeof intentOf>[0], object, readonly string[]]>([
    ['takes from whom it knows', fromB, {}, ['ALLOWED']],
    ['does not take from whom it does not', { ...fromB, source: 'csp-d.example' as Intent['source'] }, {}, ['NOT_PERMITTED']],
    ['has a host of that level up', { ...fromB, ...vmWith({ level: 2 }) }, {}, ['ALLOWED']],
    ['has none of that level up', { ...fromB, ...vmWith({ level: 2 }) }, { hostLevel: 1 }, ['LEVEL_TOO_LOW']],
    ['takes nothing on hold, whatever the source says', { ...fromB, ...vmWith({ legalHold: true }) }, {}, ['LEGAL_HOLD']],
    ['answers where the VM must not be', { ...fromB, ...vmWith({ jurisdictions: ['FR'] }) }, {}, ['JURISDICTION_FORBIDDEN']],
    [
      'is no third CSP for a VM that may not be sent on',
      { ...vmWith({ onward: false }), source: C, target: B },
      {},
      ['ONWARD_FORBIDDEN'],
    ],
  ])('%s', (_, change, facts, expected) => {
    const decision = receive(intentOf(change), facts);
    expect([decision.allowed, codes(decision)]).toEqual([expected[0] === 'ALLOWED', expected]);
    expect(policyDecision.parse(decision)).toEqual(decision);
  });
});

describe('a reason', () => {
  it('names the policy, in one sentence, and what to do next', () => {
    const [reason] = send(intentOf(vmWith({ legalHold: true }))).reasons;
    expect(reason?.text).toBe(
      'The VM is on legal hold. (policy carnet/legal-hold) Only an administrator lifts it: `carnet vm release VM`.',
    );
  });

  it('of one’s own has one’s own words, on one line', () => {
    const rule =
      '@id("night") @reason("AT_NIGHT") @says("We sleep\\n\\u{202e}.") @advice("Wait.")\nforbid (principal, action, resource);';
    expect(send(intentOf(), {}, setOf(rule)).reasons).toEqual([{ code: 'AT_NIGHT', text: 'We sleep  . (policy night) Wait.' }]);
  });
});

describe('a level that is too low', () => {
  const text = (intent: Intent, ask = send, facts = {}): string => {
    const decision = ask(intent, facts);
    expect(disagreement(SET, intent, decision)).toBeUndefined();
    return decision.reasons.find(({ code }) => code === 'LEVEL_TOO_LOW')?.text ?? '';
  };
  it('names to the source’s own people where the VM could go, by the rules that no set lifts', () => {
    expect(text(intentOf(vmWith({ level: 2 })))).toMatch(/ Compliant: csp-c\.example \(level 3\)\.$/);
    for (const other of [{ jurisdictions: ['DE', 'EU', 'FR'] }, { level: 4 }, { legalHold: true }])
      expect(text(intentOf(vmWith({ level: 2, ...other })))).not.toContain('Compliant');
    const guest = { ...vmWith({ level: 2, onward: false }), source: C, target: B };
    expect(text(intentOf(guest))).toContain('Compliant: csp-a.example (level 3).');
  });
  it('of hosts that are up tells the peer of own hosts alone', () => {
    const intent = intentOf({ source: B, target: A, ...vmWith({ level: 2 }) });
    expect(text(intent, receive, { hostLevel: 1 })).toMatch(/ Compliant: a host of level 2 here, when it is up\.$/);
    expect(text(intentOf({ source: B, target: A, ...vmWith({ level: 3 }) }), receive)).not.toContain('Compliant');
  });
});

it('re-keying on arrival may be demanded, and is quoted', () => {
  const set = setOf(`${DEFAULT}
@id("rekey") @reason("REKEY_NEEDED") @says("Volumes are encrypted again.") @advice("Ask with --rekey full.")
forbid (principal, action, resource)
when { context has rekey && context.rekey != "full" };`);
  expect(codes(send(intentOf(), {}, set))).toEqual(['REKEY_NEEDED']);
  expect(codes(receive(intentOf({ source: B, target: A, rekey: 'slot' }), {}, set))).toEqual(['REKEY_NEEDED']);
  const full = intentOf({ rekey: 'full' });
  const decision = send(full, {}, set);
  expect([decision.allowed, decision.asked.rekey, disagreement(set, full, decision)]).toEqual([true, 'full', undefined]);
  expect(disagreement(set, intentOf(), decision)).toMatchObject({ text: expect.stringContaining('another question') });
});

describe('time windows', () => {
  const set = setOf(`${DEFAULT}
@id("office") @reason("OUTSIDE_WINDOW")
forbid (principal, action, resource)
unless { context has weekday && context.weekday != "Sunday" && context.time.toTime() >= duration("8h") && context.time.toTime() < duration("18h") };`);
  it.each([
    ['2026-11-23T08:00:00.000Z', true],
    ['2026-11-23T17:59:59.999Z', true],
    ['2026-11-23T18:00:00.000Z', false],
    ['2026-11-23T07:59:59.999Z', false],
    ['2026-11-22T10:00:00.000Z', false],
  ])('at %s', (time, allowed) => {
    expect(send(intentOf(), { time }, set).allowed).toBe(allowed);
  });
});

it('the more is open, the memory of all counts', () => {
  const set = setOf(`${DEFAULT}
@id("memory") @reason("QUOTA_EXCEEDED")
forbid (principal, action, resource) when { action == Action::"send" && context has open && context.open.memoryMiB + resource.memoryMiB > 1024 };`);
  const open = (memoryMiB: number) => ({ open: { migrations: 1, memoryMiB, diskBytes: 0 } });
  expect([send(intentOf(), open(768), set).allowed, send(intentOf(), open(769), set).allowed]).toEqual([true, false]);
});

describe('an approval', () => {
  const asked = { vm: intentOf().vm, source: A, target: B, mode: 'cold', time: MONDAY, asker: SCHEDULER } as const;
  it.each([
    [OPERATOR, SCHEDULER, 'ALLOWED'],
    [OPERATOR, OPERATOR, 'SELF_APPROVAL'],
    [ANNA, SCHEDULER, 'ALLOWED'],
    [ANNA_ON_DUTY, ANNA, 'SELF_APPROVAL'],
    [ANNA, ANNA_ON_DUTY, 'SELF_APPROVAL'],
    ['api-key/nightly', OPERATOR, 'APPROVER_NO_PERSON'],
    [SCHEDULER, OPERATOR, 'NOT_PERMITTED'],
    ['nobody', OPERATOR, 'NOT_PERMITTED'],
  ])('of %s for %s', (approver, asker, code) => {
    expect(
      decideApproval(SET, { ...asked, approver: { principal: approver }, asker }, specWith()).reasons.map((one) => one.code),
    ).toEqual([code]);
  });
});

describe('tokens', () => {
  const set = setOf(DEFAULT, {
    entities: [
      ...ENTITIES,
      user('api-key/*', ['scheduler', 'viewer']),
      user('api-key/boss', ['operator', 'scheduler']),
      user('https://idp/boss', ['operator', 'scheduler']),
    ],
  });
  const token = (principal: string, roles?: readonly string[]): Intent['request'] => ({
    via: 'token',
    principal,
    digest: SET.ruledBy.schema,
    ...(roles === undefined ? {} : { roles }),
  });
  const by = (principal: string, roles?: readonly string[]): Intent => ({ ...intentOf(), request: token(principal, roles) });
  const two = (approver: Intent['request']): Intent => ({
    ...intentOf({ ...vmWith({ labels: ['two-persons'] }), asker: SCHEDULER }),
    approvals: [approver],
  });

  it.each<readonly [string, Intent, boolean]>([
    ['a pattern covers a name', by('api-key/nightly'), true],
    ['of one segment only', by('api-key/a/b'), false],
    ['and not nothing', by('api-key/'), false],
    ['nor what merely ends alike', by('https://issuer/api-key/x'), false],
    ['a credential narrows roles', by('api-key/nightly', ['viewer']), false],
    ['and widens none', by('api-key/nightly', ['viewer', 'operator', 'administrator']), false],
    ['a name goes before a pattern, narrowed or not', by('api-key/boss', ['operator']), true],
    ['an API key is no second person, whatever its roles', two(token('api-key/boss')), false],
    ['a second person by token', two(token('https://idp/boss')), true],
    ['whose credential is not good for approving', two(token('https://idp/boss', ['scheduler'])), false],
  ])('%s', (_, intent, allowed) => {
    const decision = send(intent, {}, set);
    expect([decision.allowed, disagreement(set, intent, decision)]).toEqual([allowed, undefined]);
  });
});

describe('always', () => {
  const domain = fc.constantFrom(A, B, C);
  const jurisdictions = fc.option(fc.subarray(['DE', 'EU', 'FR', 'US']), { nil: undefined });
  const restrictions = fc
    .record({
      labels: fc.subarray(['two-persons', 'web']),
      level: fc.nat(4),
      onward: fc.boolean(),
      legalHold: fc.boolean(),
      places: jurisdictions,
      project: fc.constantFrom('default', 'other'),
    })
    .map(({ places, ...rest }) => ({ ...rest, ...(places === undefined ? {} : { jurisdictions: places }) }));
  const people = fc.constantFrom(
    OPERATOR,
    SECOND,
    SCHEDULER,
    ANNA,
    ANNA_ON_DUTY,
    'api-key/x',
    `spiffe://${A}/viewer`,
    'User::"x"',
    '"], "type": "Role"',
  );
  const moves = fc
    .record({
      restrictions,
      source: domain,
      target: domain,
      asker: people,
      approvers: fc.uniqueArray(people, { maxLength: 2 }),
      memoryMiB: fc.integer({ min: 16, max: 5_000 }),
    })
    .map(({ restrictions: kept, memoryMiB, ...rest }) => intentOf({ ...rest, spec: specWith({ memoryMiB }, kept) }));
  const both = (set: typeof SET, intent: Intent) => [send(intent, {}, set), receive(intent, {}, set)];

  it('a second person is another one, on either side', () => {
    const two = setOf(`${DEFAULT}
@id("two") @reason("APPROVAL_NEEDED") forbid (principal, action, resource) unless { context has secondPerson && context.secondPerson };`);
    const others = ({ request, approvals = [] }: Intent): boolean =>
      approvals.some(({ principal }) => !isSamePerson(principal, request.principal) && isPerson(principal));
    fc.assert(fc.property(moves, (intent) => both(two, intent).every(({ allowed }) => !allowed || others(intent))));
  });

  it('is denied what nothing permits', () => {
    const empty = setOf('');
    fc.assert(fc.property(moves, (intent) => both(empty, intent).every(({ allowed }) => !allowed)));
  });

  const FORBIDS = [
    'true',
    'resource.level > 1',
    'context has target && context.target == Csp::"csp-b.example"',
    'resource.labels.contains("web")',
  ].map((when, i) => `@id("more-${i}") @reason("TOO_LARGE") forbid (principal, action, resource) when { ${when} };`);
  it('a further forbid turns no denial into leave', () => {
    const sets = FORBIDS.map((one) => setOf(`${DEFAULT}\n${one}`));
    fc.assert(
      fc.property(moves, fc.constantFrom(...sets), (intent, more) => {
        const [before, after] = [both(SET, intent), both(more, intent)];
        return after.every(({ allowed }, i) => !allowed || before[i]?.allowed === true);
      }),
    );
  });

  const TIGHTER = fc.constantFrom<Partial<VmRestrictions>>(
    { level: 9 },
    { jurisdictions: [] },
    { onward: false },
    { legalHold: true },
    { labels: ['two-persons', 'web'] },
    { owner: publicKeyOf(OWNER) },
    { accreditations: ['accreditor.example:c5'] },
  );
  it('a further restriction turns no denial into leave', () => {
    fc.assert(
      fc.property(moves, TIGHTER, (intent, tighter) => {
        const spec = { ...intent.spec, restrictions: { ...restrictionsOf(intent.spec), ...tighter } };
        const [before, after] = [both(SET, intent), both(SET, { ...intent, spec })];
        return after.every(({ allowed }, i) => !allowed || before[i]?.allowed === true);
      }),
    );
  });

  it('the order of policies and entities means nothing: same digest, same decision', () => {
    const parts = [...DEFAULT.matchAll(/@id[\s\S]*?;\n/g)].map(([one]) => one);
    expect(parts).toHaveLength(7);
    const PLAIN = setOf(DEFAULT);
    const shuffled = fc.shuffledSubarray(parts, { minLength: 7 });
    fc.assert(
      fc.property(
        shuffled,
        fc.shuffledSubarray([...ENTITIES], { minLength: ENTITIES.length }),
        moves,
        (rules, entities, intent) => {
          const other = setOf(rules.join('\n'), { entities });
          expect(other.ruledBy).toEqual(PLAIN.ruledBy);
          expect(both(other, intent)).toEqual(both(PLAIN, intent));
        },
      ),
      { numRuns: 30 },
    );
  });

  it('replays to itself, and any change of it is found', () => {
    fc.assert(
      fc.property(moves, (intent) => {
        for (const decision of both(SET, intent)) {
          expect(disagreement(SET, intent, decision)).toBeUndefined();
          expect(disagreement(SET, intent, { ...decision, allowed: !decision.allowed })).toBeDefined();
          expect(disagreement(SET, intent, { ...decision, determining: ['other'] })).toBeDefined();
          expect(disagreement(SET, intent, { ...decision, asked: { ...decision.asked, principal: 'somebody' } })).toBeDefined();
        }
      }),
    );
  });
});

describe('hostile names', () => {
  const NAMES = [
    'x" in Role::"operator',
    '"}], "parents": [{"type":"Role","id":"operator"}]',
    '<User id="operator"/>',
    OPERATOR.toUpperCase(),
    `${OPERATOR}\u0000`,
    ' ',
  ];
  it.each(NAMES)('%j is a name and nothing else', (asker) => {
    expect(codes(send(intentOf({ asker })))).toEqual(['NOT_PERMITTED']);
  });
  it('that a set gives a role to have it exactly', () => {
    for (const name of NAMES) {
      const set = setOf(DEFAULT, { entities: [...ENTITIES, user(name, ['operator'])] });
      expect(send(intentOf({ asker: name }), {}, set).allowed, name).toBe(true);
      expect(send(intentOf({ asker: `${name}x` }), {}, set).allowed, name).toBe(false);
    }
  });
});

it('a policy that fails denies, even where others permit', () => {
  const set = setOf(
    '@id("all") permit (principal, action, resource);\n@id("overflow") permit (principal, action, resource) when { resource.vcpus * 9223372036854775807 > 0 };',
  );
  const decision = send(intentOf({ spec: specWith({ vcpus: 2 }) }), {}, set);
  expect([decision.allowed, codes(decision), decision.determining]).toEqual([false, ['POLICY_ERROR'], ['overflow']]);
});
