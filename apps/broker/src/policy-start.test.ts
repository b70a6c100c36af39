import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Draft, PolicyAnnounced } from '@carnet/events';
import type { AppendTx, Journal, Plan, StoredEvent } from '@carnet/journal';
import { readPolicyFiles } from '@carnet/publisher';
import { afterAll, describe, expect, it } from 'vitest';
import { filesOf, setOf } from '../../../libs/policy/src/testing.ts';
import { CSP_A, CSP_B, FIRST_EPOCH, intentData, migration, START, VM } from '../../../libs/saga/src/testing.ts';
import { createLedgers } from './ledgers.ts';
import { archivePolicySet, readPolicySet, refuseDowngrade } from './policy-start.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-policies-'));
afterAll(() => rmSync(dir, { recursive: true }));

const RULES = '@id("all") permit (principal, action, resource);';
const [FIRST, SECOND] = [setOf(RULES), setOf(RULES, { version: 2 })];
const OTHER = setOf(RULES.replace('all', 'any'));
type Ruled = { readonly announced: PolicyAnnounced };
const said = (...sets: readonly Ruled[]) =>
  sets.map(({ announced }) => ({
    event: { type: 'PolicyAnnounced', time: START, data: announced },
  })) as unknown as readonly StoredEvent[];
const journalOf = (...sets: readonly Ruled[]) => ({ policiesAnnounced: async () => said(...sets) });

describe('a broker starts', () => {
  it.each([
    ['for the first time', FIRST, []],
    ['with the same set', FIRST, [FIRST]],
    ['with a higher version', SECOND, [FIRST]],
  ] as const)('%s', async (_, set, before) => {
    await expect(refuseDowngrade(journalOf(...before), set, dir)).resolves.toBeUndefined();
  });
  it.each([
    ['an older version than any peer was told of', FIRST, [FIRST, SECOND], 'POLICY_DOWNGRADE'],
    ['other content under the same version', OTHER, [FIRST], 'POLICY_VERSION_REUSED'],
  ] as const)('but not with %s', async (_, set, before, code) => {
    await expect(refuseDowngrade(journalOf(...before), set, dir)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/version in set\.json/),
    });
  });
});

describe('a policy folder', () => {
  const folder = (files: ReadonlyMap<string, string>): string => {
    const at = mkdtempSync(join(dir, 'set-'));
    for (const [name, text] of files) writeFileSync(join(at, name), text);
    return at;
  };
  it('is read, and archived such that it gives the same set', async () => {
    const at = folder(new Map([...filesOf(RULES), ['README.md', 'left alone']]));
    const set = readPolicySet(at);
    const archive = join(at, 'archive');
    await archivePolicySet(set, archive);
    await archivePolicySet(set, archive);
    const [kept = '', ...others] = readdirSync(archive);
    expect([kept, others]).toEqual([`1-${set.ruledBy.policySet}`, []]);
    expect(readPolicySet(join(archive, kept)).ruledBy).toEqual(FIRST.ruledBy);
    expect([...readPolicyFiles(join(archive, kept)).keys()]).toEqual([
      'carnet.cedar',
      'carnet.cedarschema',
      'entities.json',
      'rules.cedar',
      'set.json',
    ]);
  });
  it('with built-in policies of its own making is refused', () => {
    const weak = folder(new Map([...filesOf(RULES), ['carnet.cedar', '']]));
    expect(() => readPolicySet(weak)).toThrow(/^POLICY_BASE_OTHER: /);
  });
  it('that says nothing is refused with what is missing', () => {
    expect(() => readPolicySet(folder(new Map()))).toThrow(/^POLICY_FILE_MISSING: .*\(set\.json\)/);
  });
});

describe('an intent in a ledger', () => {
  /** One append: what is drafted when these sets were announced before. */
  async function drafted(set: typeof FIRST, ...before: readonly Ruled[]) {
    const drafts: Draft[] = [];
    const tx = {
      eventsOfVm: async () => [],
      ...journalOf(...before),
    } as unknown as AppendTx;
    const append = async (_: unknown, plan: Plan<unknown>) => {
      drafts.push(...(await plan(tx)).drafts);
      return { ok: true, value: { events: drafts.map(() => ({ digest: 'd' })), value: undefined } };
    };
    const journal = { peers: [CSP_B], append } as unknown as Journal;
    const ledgers = createLedgers(journal, CSP_A, () => Date.parse(START), set.ruledBy);
    const proposed = await ledgers.propose(VM, CSP_B, async () => ({
      type: 'MigrationIntended',
      migration: migration(1),
      epoch: FIRST_EPOCH,
      data: intentData('cold'),
    }));
    return { proposed, types: drafts.map(({ type }) => type) };
  }

  it('follows what the ledger has to say of the rules first', async () => {
    expect((await drafted(FIRST)).types).toEqual(['PolicyAnnounced', 'MigrationIntended']);
    expect((await drafted(FIRST, FIRST)).types).toEqual(['MigrationIntended']);
    expect((await drafted(SECOND, FIRST)).types).toEqual(['PolicyAnnounced', 'MigrationIntended']);
  });
  it('is not decided by a replica whose set is older than what another one announced', async () => {
    expect(await drafted(FIRST, FIRST, SECOND)).toMatchObject({ proposed: { ok: false, code: 'POLICY_DOWNGRADE' }, types: [] });
  });
});
