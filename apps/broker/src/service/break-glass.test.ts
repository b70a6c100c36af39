import { generateKeyPairSync } from 'node:crypto';
import { type BreakGlassPerson, breakGlassResumed, dsseEnvelope, PAYLOAD_TYPES, spiffeId, UNRESTRICTED } from '@carnet/events';
import type { AppendTx } from '@carnet/journal';
import { breakGlassDisagreement, questionsAbout } from '@carnet/policy';
import { decide, evolve, type Journey, type MigrationState, type Proposal } from '@carnet/saga';
import { ed25519Signer, readEd25519Key, signEnvelope } from '@carnet/trust';
import { describe, expect, it } from 'vitest';
import { setOf, user } from '../../../../libs/policy/src/testing.ts';
import {
  CSP_A,
  CSP_B,
  deliver,
  given,
  type Pair,
  placed,
  SAMPLE_DEADLINE_MS,
  SPEC,
  START,
} from '../../../../libs/saga/src/testing.ts';
import { glassOf } from '../peers/break-glass.ts';
import { openPolicyGate } from '../policy-gate.ts';
import { type BreakGlassPorts, type BreakGlassWords, breakGlass } from './break-glass.ts';

const LATE_MS = Date.parse(START) + SAMPLE_DEADLINE_MS + 60_000;
const signerOf = () => ed25519Signer(generateKeyPairSync('ed25519').privateKey);
const [OWNER, ANNA, BEN] = [signerOf(), signerOf(), signerOf()];
const PEOPLE = { anna: ANNA, ben: BEN } as const;
const OPERATOR = `spiffe://${CSP_A}/operator/anna`;

/** The VM of the sample journey, with an owner. */
function owned({ a }: Pair): Journey {
  const owner = Buffer.from(OWNER.publicKey).toString('base64');
  const own = (m: MigrationState): MigrationState => {
    const intent = m.facts.MigrationIntended;
    if (intent === undefined) throw new Error('no intent');
    const spec: typeof SPEC = { ...SPEC, restrictions: { ...UNRESTRICTED, owner } };
    return { ...m, facts: { ...m.facts, MigrationIntended: { ...intent, data: { ...intent.data, spec } } } };
  };
  return { ...a.journey, migrations: a.journey.migrations.map(own) };
}

const PERMIT = '@id("break-glass") permit (principal in Role::"operator", action == Action::"break-glass", resource);';
const KEPT = `${PERMIT}
@id("kept") @reason("GLASS_KEPT") @says("Not this one.") @advice("Wait.")
forbid (principal, action == Action::"break-glass", resource) when { principal == User::"spiffe://${CSP_A}/operator/ben" };`;
const SILENT = '@id("moves") permit (principal, action in [Action::"send", Action::"receive"], resource);';
/** Whoever signs is known to this set; the doors' own roles are told apart from it, so that each is tested by itself. */
const gateBy = (rules: string, nowMs: number) =>
  openPolicyGate({
    self: CSP_A,
    set: setOf(rules, { entities: ['anna', 'ben'].map((name) => user(`spiffe://${CSP_A}/operator/${name}`, ['operator'])) }),
    counts: () => Promise.reject(new Error('nothing is counted')),
    peers: [CSP_B],
    hosts: [],
    hostsUp: () => [],
    now: () => new Date(nowMs).toISOString() as typeof START,
  });

function world(journey: Journey, nowMs = LATE_MS, roles: readonly string[] = ['operator'], rules = PERMIT) {
  let now = journey;
  const ports = {
    self: CSP_A,
    nowMs: () => nowMs,
    identify: (leaf: string) => {
      const name = Buffer.from(leaf, 'base64').toString() as keyof typeof PEOPLE;
      const signer = PEOPLE[name];
      const verifier = readEd25519Key(signer.publicKey);
      return {
        spiffeId: spiffeId.parse(`spiffe://${CSP_A}/operator/${name}`),
        domain: CSP_A,
        leafDigest: signer.keyid,
        verifier,
      };
    },
    policy: { roleOf: () => roles, breakingGlass: gateBy(rules, nowMs).breakingGlass },
    inventory: { vm: async () => ({ vm: journey.vm, spec: SPEC, host: 'host-1', epoch: 0 }) },
    ledgers: {
      journeys: async () => [now],
      propose: async (
        _: unknown,
        __: unknown,
        make: (tx: AppendTx, current: Journey) => Promise<Proposal | { readonly ok: false }>,
      ) => {
        const proposal = await make({} as AppendTx, now);
        if ('ok' in proposal) return proposal;
        const time = new Date(nowMs).toISOString() as typeof START;
        const decision = decide(now, CSP_A, proposal, time);
        if (!decision.ok) return decision;
        const event = placed(decision.draft, CSP_A, CSP_B, 40, time);
        now = evolve(now, event).journey;
        return { ok: true, digest: event.digest };
      },
    },
  } as unknown as BreakGlassPorts;
  return { ports, journey: () => now };
}

const only = (journey: Journey): MigrationState => {
  const [m] = journey.migrations;
  if (m === undefined) throw new Error('no migration');
  return m;
};

function wordsAbout({ id, vm, epoch, target, facts }: MigrationState, change: object = {}): BreakGlassWords {
  const at = new Date(LATE_MS - 60_000).toISOString();
  const said = { migration: id, vm, epoch, target, release: facts.KeyReleased?.digest, reason: 'burnt down', at };
  const word = (signer: ReturnType<typeof signerOf>, says: string) =>
    dsseEnvelope.parse(
      JSON.parse(
        Buffer.from(
          signEnvelope(
            PAYLOAD_TYPES.breakGlass,
            Buffer.from(JSON.stringify({ ...said, says, notAfter: new Date(LATE_MS + 60_000).toISOString(), ...change })),
            signer,
          ),
        ).toString(),
      ),
    );
  const person = (name: keyof typeof PEOPLE): BreakGlassPerson => ({
    principal: spiffeId.parse(`spiffe://${CSP_A}/operator/${name}`),
    certificate: Buffer.from(name).toString('base64'),
    envelope: word(PEOPLE[name], 'resume-at-source'),
  });
  return { persons: [person('anna'), person('ben')], owner: word(OWNER, 'target-is-fenced') };
}

describe('breaking the glass', () => {
  const released = owned(given('KeyReleased'));
  const m = only(released);

  it('is decided once, in an epoch above all', async () => {
    const { ports, journey } = world(released);
    const first = await breakGlass(ports, m, wordsAbout(m), OPERATOR);
    expect(first).toMatchObject({ ok: true });
    expect(only(journey()).facts.BreakGlassResumed?.data.opens).toBe(m.epoch + 1);
    expect(await breakGlass(ports, only(journey()), wordsAbout(m), OPERATOR)).toEqual(first);
  });

  it('quotes what policy says of each person, as whoever has the set says it again', async () => {
    const { ports, journey } = world(released);
    const words = wordsAbout(m);
    await breakGlass(ports, m, words, OPERATOR);
    const said = only(journey()).facts.BreakGlassResumed?.data;
    const glass = glassOf(m);
    if (said?.policy === undefined || glass === undefined) throw new Error('a decision is quoted');
    const names = words.persons.map(({ principal }) => principal);
    const questions = questionsAbout(glass, names, said.policy[0]?.asked.time ?? START);
    const { set } = gateBy(PERMIT, LATE_MS);
    expect(said.policy.map((one) => [one.policySet, one.allowed, one.determining])).toEqual(
      names.map(() => [set.ruledBy.policySet, true, ['break-glass']]),
    );
    for (const [index, one] of said.policy.entries())
      expect(breakGlassDisagreement(set, glass, questions[index] ?? one.asked, one)).toBeUndefined();
    expect(breakGlassResumed.parse(said)).toEqual(said);
  });

  it('is refused by policy with the reasons of each person, and no ledger hears of it', async () => {
    const { ports, journey } = world(released, LATE_MS, ['operator'], KEPT);
    expect(await breakGlass(ports, m, wordsAbout(m), OPERATOR)).toEqual({
      ok: false,
      code: 'BREAK_GLASS_DENIED',
      text: expect.any(String),
      reasons: [{ code: 'GLASS_KEPT', text: `spiffe://${CSP_A}/operator/ben: Not this one. (policy kept) Wait.` }],
    });
    expect(journey()).toBe(released);
  });

  it.each<readonly [string, string, () => [ReturnType<typeof world>, BreakGlassWords, string]]>([
    ['an API key asks', 'APPROVER_NO_PERSON', () => [world(released), wordsAbout(m), 'api-key/robot']],
    [
      'who signed is no operator',
      'BREAK_GLASS_PERSON_FALSE',
      () => [world(released, LATE_MS, ['viewer']), wordsAbout(m), OPERATOR],
    ],
    ['the deadline has not passed', 'TOO_EARLY', () => [world(released, LATE_MS - 45_000), wordsAbout(m), OPERATOR]],
    [
      'the words are of another epoch',
      'BREAK_GLASS_PERSON_FALSE',
      () => [world(released), wordsAbout(m, { epoch: 7 }), OPERATOR],
    ],
    ['the words are spent', 'BREAK_GLASS_EXPIRED', () => [world(released, LATE_MS + 60_001), wordsAbout(m), OPERATOR]],
    [
      'a set of a version before permits it to nobody',
      'BREAK_GLASS_DENIED',
      () => [world(released, LATE_MS, ['operator'], SILENT), wordsAbout(m), OPERATOR],
    ],
    // The quorum stays as it was: no permit stands in for it.
    [
      'policy permits what is not signed',
      'BREAK_GLASS_PERSON_FALSE',
      () => [
        world(released, LATE_MS, ['operator'], '@id("all") permit (principal, action, resource);'),
        wordsAbout(m, { epoch: 7 }),
        OPERATOR,
      ],
    ],
    ['the VM has no owner', 'BREAK_GLASS_OWNER_UNKNOWN', () => [world(given('KeyReleased').a.journey), wordsAbout(m), OPERATOR]],
    // What the caller saw is stale: the transaction finds the answer.
    [
      'an answer has come meanwhile',
      'PEER_ANSWERED',
      () => [world(owned(deliver(given('KeyImported')))), wordsAbout(m), OPERATOR],
    ],
  ])('is refused when %s, and nothing changes', async (_, code, make) => {
    const [{ ports, journey }, words, principal] = make();
    const before = journey();
    expect(await breakGlass(ports, m, words, principal)).toMatchObject({ ok: false, code });
    expect(journey()).toBe(before);
  });

  it('is the source’s alone', async () => {
    const { ports } = world(released);
    expect(await breakGlass({ ...ports, self: CSP_B }, m, wordsAbout(m), OPERATOR)).toMatchObject({
      code: 'BREAK_GLASS_NOT_OURS',
    });
  });
});
