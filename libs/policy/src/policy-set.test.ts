import { describe, expect, it } from 'vitest';
import { downgradeOf, ENGINE, levelOf, loosened, loosenedAway, openPolicySet, placesOf, rolesOf, SCHEMA } from './index.ts';
import { crypto } from './testing/owners.ts';
import { A, B, C, csp, ENTITIES, filesOf, hash, OPERATOR, setOf, user } from './testing/sets.ts';

const ALL = '@id("all") permit (principal, action, resource);';
const opened = (files: ReadonlyMap<string, string>) => openPolicySet(files, crypto);

describe('a set is refused', () => {
  it.each<readonly [string, string, string, readonly object[] | undefined]>([
    ['no Cedar', 'POLICY_SYNTAX', 'permit everything;', undefined],
    ['a template', 'POLICY_SYNTAX', '@id("t") permit (principal == ?principal, action, resource);', undefined],
    ['no id', 'POLICY_ID_INVALID', 'permit (principal, action, resource);', undefined],
    ['one id twice', 'POLICY_ID_INVALID', ALL + ALL, undefined],
    ['an id of Carnet', 'POLICY_ID_INVALID', ALL.replace('all', 'carnet/all'), undefined],
    ['a forbid without a reason', 'POLICY_REASON_MISSING', ALL.replace('permit', 'forbid'), undefined],
    ['an unknown reason without words', 'POLICY_REASON_MISSING', `@reason("MINE") ${ALL.replace('permit', 'forbid')}`, undefined],
    ['an unknown attribute', 'POLICY_SCHEMA_VIOLATED', `${ALL.slice(0, -1)} when { resource.colour == "red" };`, undefined],
    ['an unknown role', 'POLICY_SCHEMA_VIOLATED', ALL.replace('principal', 'principal in Role::"king"'), undefined],
    ['a rule that can never hold', 'POLICY_SCHEMA_VIOLATED', `${ALL.slice(0, -1)} when { principal is Host };`, undefined],
    ['a user with an unknown role', 'POLICY_SCHEMA_VIOLATED', ALL, [user('u', ['king'])]],
    ['a user with attributes', 'POLICY_SCHEMA_VIOLATED', ALL, [{ ...user('u', []), attrs: { level: 1 } }]],
    ['a CSP without a place', 'POLICY_SCHEMA_VIOLATED', ALL, [{ uid: { type: 'Csp', id: B }, attrs: { level: 1 } }]],
    ['a VM among the entities', 'POLICY_FILE_INVALID', ALL, [{ uid: { type: 'Vm', id: 'x' } }]],
    ['an action among them', 'POLICY_FILE_INVALID', ALL, [{ uid: { type: 'Action', id: 'send' } }]],
    ['an entity twice', 'POLICY_FILE_INVALID', ALL, [user('u', []), user('u', ['operator'])]],
    ['who asks and recovers', 'DUTIES_MIXED', ALL, [user('u', ['scheduler', 'custodian'])]],
    [
      'who asks under one name and recovers under another',
      'DUTIES_MIXED',
      ALL,
      [user('spiffe://a/operator/anna', ['operator']), user('spiffe://a/custodian/anna', ['custodian'])],
    ],
    [
      'a Keystone user who asks in one project and recovers in another',
      'DUTIES_MIXED',
      ALL,
      [user('keystone/1/*', ['scheduler']), user('keystone/2/u', ['custodian'])],
    ],
    ['whoever does', 'DUTIES_MIXED', ALL, [user('keystone/1/*', ['scheduler']), user('keystone/2/*', ['custodian'])]],
  ])('for %s', (_, code, rules, entities) => {
    expect(opened(filesOf(rules, entities === undefined ? {} : { entities }))).toMatchObject({ ok: false, code });
  });

  it.each<readonly [string, readonly object[]]>([
    ['two persons', [user('spiffe://a/operator/bob', ['operator']), user('spiffe://a/custodian/anna', ['custodian'])]],
    [
      'API keys beside a person',
      [user('api-key/*', ['scheduler']), user('anna', ['custodian']), user('api-key/anna', ['operator'])],
    ],
    [
      'an identity provider beside certificates',
      [user('https://idp/*', ['scheduler']), user('spiffe://a/custodian/anna', ['custodian'])],
    ],
    [
      'a name that goes before the pattern',
      [
        user('spiffe://a/operator/*', ['operator']),
        user('spiffe://a/operator/anna', []),
        user('spiffe://a/custodian/anna', ['custodian']),
      ],
    ],
  ])('not for duties of %s', (_, entities) => {
    expect(opened(filesOf(ALL, { entities }))).toMatchObject({ ok: true });
  });

  it.each(['set.json', 'entities.json'])('without %s, or when it is no JSON', (name) => {
    const files = new Map(filesOf(ALL));
    expect(opened(new Map([...files, [name, '{']]))).toMatchObject({ ok: false, code: 'POLICY_FILE_INVALID' });
    files.delete(name);
    expect(opened(files)).toMatchObject({ ok: false, code: 'POLICY_FILE_MISSING' });
  });
});

describe('the digest of a set', () => {
  const { ruledBy } = setOf(ALL);
  it('covers version, policies, entities and schema, and no white space of JSON', () => {
    const others = [setOf(ALL, { version: 2 }), setOf(ALL.replace('all', 'any')), setOf(ALL, { entities: ENTITIES.slice(1) })];
    expect(new Set([ruledBy, ...others.map((one) => one.ruledBy)].map((one) => one.policySet)).size).toBe(4);
    const spaced = new Map([...filesOf(ALL), ['entities.json', JSON.stringify(ENTITIES, undefined, 4)]]);
    expect(opened(spaced)).toMatchObject({ ok: true, value: { ruledBy } });
    expect(ruledBy).toMatchObject({ version: 1, engine: ENGINE, schema: hash(SCHEMA) });
  });

  it('is the same from its archive, and an archive of another Carnet is known as such', () => {
    const { files } = setOf(ALL);
    expect(opened(files)).toMatchObject({ ok: true, value: { ruledBy, isCurrent: true } });
    const older = new Map([...files, ['carnet.cedar', '']]);
    expect(opened(older)).toMatchObject({ ok: true, value: { isCurrent: false } });
  });
});

it('says who may what, and where things are', () => {
  const set = setOf(ALL);
  expect([rolesOf(set, OPERATOR), rolesOf(set, 'nobody')]).toEqual([['operator'], []]);
  expect([levelOf(set, 'host-1'), levelOf(set, 'host-2')]).toEqual([2, 0]);
  expect(placesOf(set)).toEqual([A, B, C]);
});

describe('a later set', () => {
  const [first, second] = [setOf(ALL), setOf(ALL, { version: 2 })];
  const changed = setOf(ALL, { entities: [...ENTITIES, csp('csp-d.example', ['DE'], 1)] });
  it.each([
    ['is the first', first, undefined, undefined],
    ['is the same', first, first, undefined],
    ['has a higher version', second, first, undefined],
    ['has a lower version', first, second, 'POLICY_DOWNGRADE'],
    ['has the same version and other content', changed, first, 'POLICY_VERSION_REUSED'],
  ])('%s', (_, set, last, code) => {
    expect(downgradeOf(set, last?.ruledBy)?.code).toBe(code);
  });
});

describe('restrictions', () => {
  const base = { project: 'p', labels: ['a', 'b'], level: 2, jurisdictions: ['DE', 'EU'], onward: false, legalHold: false };
  const { jurisdictions: _, ...anywhere } = base;
  it.each([
    ['the same', base, base, undefined],
    ['a hold set', base, { ...base, legalHold: true }, undefined],
    ['a hold lifted', { ...base, legalHold: true }, base, undefined],
    ['all tighter', anywhere, { ...base, labels: ['a', 'b', 'c'], level: 3, jurisdictions: [] }, undefined],
    ['another project', base, { ...base, project: 'q' }, 'project p became q'],
    ['a label less', base, { ...base, labels: ['a'] }, 'label b is gone'],
    ['a lower level', base, { ...base, level: 1 }, 'level 2 became 1'],
    ['sent on again', base, { ...base, onward: true }, 'it may be sent on again'],
    ['one jurisdiction more', base, { ...base, jurisdictions: ['DE', 'EU', 'US'] }, 'jurisdictions grew by US'],
    ['anywhere', base, anywhere, 'jurisdictions grew by all'],
    ['an owner named', base, { ...base, owner: 'x' }, undefined],
    ['another owner', { ...base, owner: 'x' }, { ...base, owner: 'y' }, 'it has another owner'],
    ['an accreditation demanded', base, { ...base, accreditations: ['a:b'] }, undefined],
    ['one less', { ...base, accreditations: ['a:b'] }, base, 'accreditation a:b is no longer demanded'],
    ['no owner any more', { ...base, owner: 'x' }, base, 'its owner is gone'],
  ])('%s', (_name, before, after, text) => {
    expect(loosened(before, after)).toBe(text);
  });
  it('away from home nobody is named as owner either', () => {
    expect(loosenedAway(base, { ...base, owner: 'x' })).toBe('it has an owner whom its home did not name');
    expect(loosenedAway(base, { ...base, level: 3 })).toBeUndefined();
    expect(loosenedAway({ ...base, owner: 'x' }, base)).toBe('its owner is gone');
  });
});
