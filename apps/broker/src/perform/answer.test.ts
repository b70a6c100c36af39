import { epoch } from '@carnet/events';
import type { Journey } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, CSP_C, digestOf, POLICY_ALLOWED, SPEC } from '../../../../libs/saga/src/testing.ts';
import type { PerformContext } from './context.ts';
import { createPerformer } from './perform.ts';
import { changed, fakeContext, journeyAt, owed, type Parts, refusedBy } from './testing/fake-context.ts';

const ASKED = journeyAt('MigrationIntended');
const answer = async (journey: Journey = ASKED, parts: Parts = {}, script = {}) => {
  const world = fakeContext(CSP_B, journey, script, parts);
  const outcome = await createPerformer(world.context)(owed(journey, CSP_B, 'AnswerIntent'));
  return { ...world, outcome };
};
const reasonsOf = ({ proposals: [proposal] }: Awaited<ReturnType<typeof answer>>) =>
  proposal?.type === 'MigrationRefused' ? proposal.data.reasons.map(({ code }) => code) : proposal?.type;

/** The same VM with a third CSP, whose side of it is ours as target. */
const withC = (journey: Journey): Journey => ({
  ...journey,
  migrations: journey.migrations.map((m) => ({ ...m, source: CSP_C })),
});
const elsewhere = (other: Journey): Parts => ({ ledgers: { journeys: async () => [ASKED, withC(other)] } });
const movedHome = (epochs: number): Journey => ({
  ...ASKED,
  migrations: ASKED.migrations.map((m) => ({ ...m, vm: m.vm.replace(CSP_A, CSP_B) as typeof m.vm, epoch: epoch.parse(epochs) })),
});

describe('an intent', () => {
  it('is answered with an offer', async () => {
    const answered = await answer();
    expect(answered.done).toEqual(['host reserve', 'keys pair', 'event MigrationOffered']);
  });

  it('outside of the agreement, in the KEM that this CSP would offer, is refused, and no host is asked', async () => {
    const asked: unknown[] = [];
    const agreementFault = async (...of: readonly unknown[]) => {
      asked.push(of);
      return { code: 'ALGORITHM_NOT_AGREED', text: 'not that one' };
    };
    const answered = await answer(ASKED, { peers: { agreementFault }, settings: { kemArriving: '0x0010' } });
    expect([reasonsOf(answered), answered.done]).toEqual([['ALGORITHM_NOT_AGREED'], ['event MigrationRefused']]);
    expect(asked).toEqual([
      [CSP_A, { mode: ASKED.migrations[0]?.facts.MigrationIntended?.data.mode, target: CSP_B, kem: '0x0010' }],
    ]);
  });

  it.each<readonly [string, string, Journey, Parts]>([
    ['of a peer that leaves offers unanswered', 'OFFERS_UNANSWERED', ASKED, { quotas: { unanswered: async () => 256 } }],
    ['for a VM that is held here', 'VM_PRESENT', ASKED, { inventory: { vm: async () => ({}) as never } }],
    ['for a VM that a third CSP is sending us', 'VM_MOVING', ASKED, elsewhere(journeyAt('MigrationOffered'))],
    ['of an epoch in which it has been here', 'EPOCH_REUSED', ASKED, elsewhere(journeyAt('MigrationFinalized'))],
    ['whose id is another migration’s', 'MIGRATION_ID_TAKEN', ASKED, { ledgers: { isIdTaken: async () => true } }],
    [
      'that holds room for years',
      'DEADLINE_TOO_FAR',
      journeyAt('MigrationIntended', { MigrationIntended: { deadline: '9999-12-31T23:59:59.999Z' } }),
      {},
    ],
    [
      'that its own policy denies',
      'SOURCE_POLICY_DENIES',
      journeyAt('MigrationIntended', {
        MigrationIntended: { policy: { allowed: false, policySet: digestOf('1'), reasons: [] } },
      }),
      {},
    ],
    [
      'that would use up the epochs',
      'EPOCH_TOO_HIGH',
      { ...ASKED, migrations: ASKED.migrations.map((m) => ({ ...m, epoch: epoch.parse(Number.MAX_SAFE_INTEGER) })) },
      {},
    ],
    ['for a VM whose home is here and that never left', 'VM_NOT_GIVEN', movedHome(2), {}],
    [
      'whose request is forged',
      'REQUEST_REFUSED',
      ASKED,
      {
        peers: {
          requestFault: async () => ({ code: 'REQUEST_REFUSED', text: 'forged' }),
        },
      },
    ],
  ])('%s is refused, and no host is asked', async (_, code, journey, parts) => {
    const answered = await answer(journey, parts);
    expect([reasonsOf(answered), answered.done]).toEqual([[code], ['event MigrationRefused']]);
  });

  const kept = { project: 'default', labels: [], level: 2, onward: true, legalHold: false };
  const withSpec = (journey: Journey, restrictions: object): Journey =>
    changed(journey, { MigrationIntended: { spec: { ...SPEC, restrictions } } });
  const guest = (journey: Journey): Journey => ({
    ...journey,
    migrations: journey.migrations.map((m) => ({ ...m, vm: m.vm.replace(CSP_A, CSP_C) as typeof m.vm, epoch: epoch.parse(2) })),
  });
  it('of a VM that was here under tighter restrictions is refused, unless it comes from its home', async () => {
    const before = elsewhere(withSpec(journeyAt('MigrationFinalized'), kept));
    expect(reasonsOf(await answer(guest(ASKED), before))).toEqual(['RESTRICTIONS_LOOSENED']);
    expect(reasonsOf(await answer(guest(withSpec(ASKED, { ...kept, level: 3 })), before))).toBe('MigrationOffered');
    const home = { ...ASKED, migrations: ASKED.migrations.map((m) => ({ ...m, epoch: epoch.parse(2) })) };
    expect(reasonsOf(await answer(home, before))).toBe('MigrationOffered');
  });

  it('whose level no host has that is up is refused with the decision, and names the host that is down', async () => {
    const denied = { ...POLICY_ALLOWED, allowed: false, reasons: [{ code: 'LEVEL_TOO_LOW', text: 'too low' }] };
    const { proposals } = await answer(withSpec(ASKED, kept), {
      policy: { asTarget: async () => denied, highestLevel: () => 2 },
    });
    expect(proposals).toMatchObject([
      {
        data: { reasons: denied.reasons, policy: denied, alternative: 'a host of level 2 is down here: ask again when it is up' },
      },
    ]);
    const none = await answer(withSpec(ASKED, kept), { policy: { asTarget: async () => denied, highestLevel: () => 1 } });
    expect(none.proposals).toMatchObject([{ data: expect.not.objectContaining({ alternative: expect.anything() }) }]);
  });

  it('of a third CSP that we never answered, or refused, stands in nobody’s way', async () => {
    expect(reasonsOf(await answer(ASKED, elsewhere(ASKED)))).toBe('MigrationOffered');
    expect(
      reasonsOf(
        await answer(ASKED, elsewhere({ ...ASKED, migrations: ASKED.migrations.map((m) => ({ ...m, targetPhase: 'refused' })) })),
      ),
    ).toBe('MigrationOffered');
  });

  it('waits for a host that may be about to be heard, and is refused once there is none', async () => {
    const noHost = { hostFor: () => undefined };
    const hosts = (isSettled: boolean) => ({ client: { registry: { isSettled: () => isSettled } } as never });
    const early = await answer(ASKED, { inventory: noHost, hosts: hosts(false) });
    expect([early.outcome, early.done]).toMatchObject([{ kind: 'failed', code: 'HOSTS_NOT_HEARD_YET' }, []]);
    expect(reasonsOf(await answer(ASKED, { inventory: noHost, hosts: hosts(true) }))).toEqual(['NO_HOST']);
  });

  it('waits while somebody else decides about the VM', async () => {
    const answered = await answer(ASKED, { alone: async () => ({ held: false }) });
    expect([answered.outcome.kind, answered.done]).toEqual(['running', []]);
  });

  it('is not offered for when the right to decide was lost meanwhile', async () => {
    const lost: PerformContext['alone'] = async (_, work) => ({ held: true, value: await work(AbortSignal.abort()) });
    const answered = await answer(ASKED, { alone: lost });
    expect([answered.outcome, answered.proposals]).toMatchObject([{ kind: 'failed', code: 'LEASE_LOST' }, []]);
  });

  it('waits for its turn to be counted, with the room kept', async () => {
    const answered = await answer(ASKED, { quotas: { turn: async () => ({ held: false }) } });
    expect([answered.outcome.kind, answered.done]).toEqual(['running', ['host reserve', 'keys pair']]);
  });

  it('whose quota was taken while room was being reserved is refused with the later decision, and the room given back', async () => {
    const denied = { ...POLICY_ALLOWED, allowed: false, reasons: [{ code: 'QUOTA_EXCEEDED', text: 'too much' }] };
    let asked = 0;
    const asTarget = async () => (asked++ === 0 ? POLICY_ALLOWED : denied);
    const { proposals, done } = await answer(ASKED, { policy: { asTarget } });
    expect(proposals).toMatchObject([{ type: 'MigrationRefused', data: { reasons: denied.reasons, policy: denied } }]);
    expect(done).toEqual(['host reserve', 'keys pair', 'event MigrationRefused', 'host forswear', 'host destroy']);
  });

  it('is refused with the host’s own word when there is no room', async () => {
    expect(reasonsOf(await answer(ASKED, {}, { reserve: [refusedBy('NO_ROOM')] }))).toEqual(['NO_ROOM']);
  });

  it('that ended while room was being reserved leaves none reserved', async () => {
    const propose = async () => ({ ok: false, code: 'PEER_GAVE_UP', text: 'withdrawn' }) as const;
    expect((await answer(ASKED, { ledgers: { propose } })).done).toEqual([
      'host reserve',
      'keys pair',
      'host forswear',
      'host destroy',
    ]);
    const quicker = async () => ({ ok: false, code: 'WRONG_PHASE', text: 'another replica offered' }) as const;
    expect((await answer(ASKED, { ledgers: { propose: quicker } })).done).toEqual(['host reserve', 'keys pair']);
  });
});
