import { type IntentRequest, intentRequest, type RequestRecord } from '@carnet/events';
import type { AppendTx } from '@carnet/journal';
import { decide, evolve, initialJourney, type Journey } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import {
  CSP_A,
  CSP_B,
  CSP_C,
  deliver,
  digestOf,
  given,
  migration,
  POLICY_ALLOWED,
  placed,
  SPEC,
  START,
  VM,
} from '../../../../libs/saga/src/testing.ts';
import type { AloneWith } from '../alone.ts';
import { SHOWN } from '../users/testing/shown.ts';
import { cancel, type IntakePorts, intend } from './intake.ts';
import { NO_QUOTAS, oneAtATime } from './testing/one-at-a-time.ts';

const asked = (n: number, target = CSP_B): IntentRequest =>
  intentRequest.parse({ migration: migration(n), vm: VM, target, mode: 'cold' });
const RECORD: RequestRecord = { via: 'mtls', principal: `spiffe://${CSP_A}/operator`, digest: digestOf('8') };

/** A CSP with a ledger for each peer, whose appends take a while. */
function intakeWith(before: readonly Journey[] = [], alone = oneAtATime()) {
  const journeys = new Map<string, Journey>(before.map((journey, i) => [[CSP_B, CSP_C][i] ?? CSP_B, journey]));
  const of = (peer: string): Journey => journeys.get(peer) ?? initialJourney(VM);
  const keys: string[] = [];
  const ports = {
    self: CSP_A,
    agreementFault: async () => undefined,
    peers: [CSP_B, CSP_C],
    ledgers: {
      journeys: async () => [of(CSP_B), of(CSP_C)],
      propose: async (_: unknown, peer: typeof CSP_B, make: (tx: AppendTx, journey: Journey) => Promise<unknown>) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const proposal = (await make({ db: {} } as AppendTx, of(peer))) as Parameters<typeof decide>[2] | { readonly ok: false };
        if ('ok' in proposal) return proposal;
        const decision = decide(of(peer), CSP_A, proposal, START);
        if (!decision.ok) return decision;
        const event = placed(decision.draft, CSP_A, peer, 40, START);
        journeys.set(peer, evolve(of(peer), event).journey);
        return { ok: true, digest: event.digest };
      },
    },
    inventory: { vm: async () => ({ vm: VM, spec: SPEC, host: 'host-1', epoch: 0 }) },
    keys: { reinstate: async () => void keys.push('reinstate'), memoryUsed: async () => void keys.push('memoryUsed') },
    alone,
    quotas: NO_QUOTAS,
    policy: { asSource: async () => POLICY_ALLOWED, ownAccreditations: [] },
    waiting: { get: async () => undefined, remove: async () => undefined },
    nowMs: () => Date.parse(START),
    offerMs: 60_000,
    deadlineMs: 3_600_000,
    leastRekey: 'none',
  } as unknown as IntakePorts;
  return { ports, keys, of };
}

describe('intents', () => {
  it('for one VM to two peers at once: one is taken', async () => {
    const { ports, of } = intakeWith();
    const taken = await Promise.all([
      intend(ports, asked(1, CSP_B), RECORD, SHOWN),
      intend(ports, asked(2, CSP_C), RECORD, SHOWN),
    ]);
    expect(taken.map((one) => (one.ok ? 'taken' : one.code)).toSorted()).toEqual(['VM_MOVING', 'taken']);
    expect(of(CSP_B).migrations.length + of(CSP_C).migrations.length).toBe(1);
  });

  it.each([
    [undefined, 'none', undefined],
    ['none', 'slot', 'slot'],
    ['full', 'slot', 'full'],
    ['slot', 'full', 'full'],
  ] as const)('that ask for %s where this CSP asks for %s of its peers demand %s', async (rekey, leastRekey, demanded) => {
    const { ports, of } = intakeWith();
    const request = intentRequest.parse({ ...asked(1), ...(rekey === undefined ? {} : { rekey }) });
    expect(await intend({ ...ports, leastRekey }, request, RECORD, SHOWN)).toMatchObject({ ok: true });
    expect(of(CSP_B).migrations[0]?.facts.MigrationIntended?.data.rekey).toBe(demanded);
  });

  it('are not appended when the right to decide was lost meanwhile', async () => {
    const lost: AloneWith = async (_, work) => ({ held: true, value: await work(AbortSignal.abort()) });
    const { ports, of } = intakeWith([], lost);
    expect(await intend(ports, asked(1), RECORD, SHOWN)).toMatchObject({ ok: false, code: 'VM_MOVING' });
    expect(of(CSP_B).migrations).toEqual([]);
  });

  it('are refused while the VM is on its way to another peer', async () => {
    const { ports } = intakeWith([deliver(given('MigrationOffered')).a.journey]);
    expect(await intend(ports, asked(2, CSP_C), RECORD, SHOWN)).toMatchObject({ ok: false, code: 'VM_MOVING' });
  });

  /** What came from C by a move that has come so far. */
  const cameFromC = (last: 'MigrationFinalized' | 'SourceRetired'): readonly Journey[] => {
    const { journey } = deliver(given(last)).b;
    return [
      initialJourney(VM),
      { ...journey, migrations: journey.migrations.map((m) => ({ ...m, source: CSP_C, target: CSP_A })) },
    ];
  };

  it('are refused while whoever gave the VM may still break the glass and take it back', async () => {
    const { ports, of } = intakeWith(cameFromC('MigrationFinalized'));
    expect(await intend(ports, asked(2, CSP_B), RECORD, SHOWN)).toMatchObject({ ok: false, code: 'PREVIOUS_OPEN' });
    expect(of(CSP_B).migrations).toEqual([]);
    const retired = intakeWith(cameFromC('SourceRetired'));
    expect(await intend(retired.ports, asked(2, CSP_B), RECORD, SHOWN)).toMatchObject({ ok: true });
  });

  it('after a peer’s absurd epoch still go to others, and are refused with a code to that peer', async () => {
    const absurd = { ...given('MigrationIntended').a.journey };
    const refused = {
      ...absurd,
      migrations: absurd.migrations.map((m) => ({
        ...m,
        source: CSP_B,
        target: CSP_A,
        targetPhase: 'refused' as const,
        epoch: Number.MAX_SAFE_INTEGER as typeof m.epoch,
      })),
    };
    const { ports } = intakeWith([refused]);
    expect(await intend(ports, asked(2, CSP_B), RECORD, SHOWN)).toMatchObject({ ok: false, code: 'EPOCH_EXHAUSTED' });
    expect(await intend(ports, asked(3, CSP_C), RECORD, SHOWN)).toMatchObject({ ok: true });
  });
});

describe('a cancellation', () => {
  const found = (journey: Journey) => {
    const [m] = journey.migrations;
    if (m === undefined) throw new Error('no migration');
    return m;
  };

  it('destroys Krel and the memory key with the withdrawal', async () => {
    const { journey } = deliver(given('KeyDeposited')).a;
    const world = intakeWith([journey]);
    expect(await cancel(world.ports, found(journey), 'operator', 'changed my mind')).toMatchObject({ ok: true });
    expect([found(world.of(CSP_B)).sourcePhase, world.keys]).toEqual(['withdrawn', ['reinstate', 'memoryUsed']]);
  });

  it('comes too late after the release, however stale what the caller saw', async () => {
    const { journey } = deliver(given('KeyReleased')).a;
    const world = intakeWith([journey]);
    expect(await cancel(world.ports, found(journey), 'operator', 'late')).toMatchObject({ ok: false, code: 'CANCEL_TOO_LATE' });
    const stale = found(deliver(given('ImageVerified')).a.journey);
    expect(await cancel(world.ports, stale, 'operator', 'late')).toMatchObject({ ok: false, code: 'ALREADY_RELEASED' });
    expect(found(world.of(CSP_B)).sourcePhase).toBe('released');
  });
});
