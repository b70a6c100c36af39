import { epoch, hostName, type KeyId, trustDomain } from '@carnet/events';
import type { FactType, Journey } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import {
  CSP_A,
  CSP_B,
  FIRST_EPOCH,
  finish,
  given,
  NEW_DISK_KEY as OLD,
  type Party,
  SPEC,
  VM,
} from '../../../libs/saga/src/testing.ts';
import { bringBackWhatIsHere, type HerePorts } from './here.ts';
import type { HeldVm } from './inventory.ts';

type World = {
  readonly held?: { readonly epoch: number; readonly key?: KeyId };
  readonly missing?: number;
  /** Our ledger to whom. */
  readonly quarantined?: 'a peer' | 'a former peer';
  readonly spares?: 'lost';
  /** The VM's journey with a third. */
  readonly onward?: Journey;
};

const HOST = hostName.parse('host-1');

function world(self: HerePorts['self'], { held, missing = 0, quarantined, spares, onward }: World, party: Party) {
  const done: string[] = [];
  const [disk] = SPEC.disks;
  if (disk === undefined) throw new Error('no disk');
  const spec = { ...SPEC, disks: [{ ...disk, key: held?.key ?? disk.key }] };
  const ports = {
    self,
    store: { db: { transaction: () => ({ execute: (work: (tx: unknown) => unknown) => work({}) }) } },
    ledgers: { journeys: async () => [party.journey, ...(onward === undefined ? [] : [onward])] },
    journal: {
      peers: ['a peer'],
      heads: async () => (quarantined === undefined ? [] : [{ audience: quarantined, quarantinedAt: 'now' }]),
    },
    inventory: {
      vm: async () => (held === undefined ? undefined : { vm: VM, epoch: held.epoch, spec, host: HOST }),
      add: async (_: unknown, { host, epoch }: HeldVm) => done.push(`listed at ${host} @${epoch}`) > 0,
      respec: async () => void done.push('listed with other keys'),
    },
    keys: {
      missing: async () => Array.from({ length: missing }),
      bringBack: async () =>
        spares === 'lost'
          ? { ok: false, code: 'SPARE_MISSING', text: 'no spare' }
          : { ok: true, value: { record: async () => ({ ok: true, value: done.push('keys are back') }) } },
    },
    log: { warn: () => undefined },
  } as unknown as HerePorts;
  return { done, look: () => bringBackWhatIsHere(ports, VM, party.journey) };
}

describe('by the ledger the VM is here', () => {
  it.each<readonly [string, World, string, readonly string[]]>([
    ['and it is', { held: { epoch: 1 } }, 'whole', []],
    ['and there is neither row nor key', { missing: 1 }, 'whole', ['keys are back', 'listed at host-1 @1']],
    ['and it was deleted here since: its keys have their records', {}, 'whole', []],
    [
      'and is listed with the keys that gave way',
      { held: { epoch: 1, key: OLD } },
      'whole',
      ['keys are back', 'listed with other keys'],
    ],
    ['and there are no keys', { held: { epoch: 1 }, missing: 1 }, 'whole', ['keys are back', 'listed with other keys']],
    ['but an own ledger is not back yet', { missing: 1, quarantined: 'a peer' }, 'later', []],
    [
      'and of own ledgers only that to a former peer is not back: nobody waits for it',
      { missing: 1, quarantined: 'a former peer' },
      'whole',
      ['keys are back', 'listed at host-1 @1'],
    ],
    ['but what left before stands there still', { held: { epoch: 0 }, missing: 1 }, 'later', []],
    ['and came back later by another journey', { held: { epoch: 2 }, missing: 1 }, 'whole', []],
    ['and its spares are lost', { missing: 1, spares: 'lost' }, 'lost', []],
  ])('%s', async (_, state, kind, what) => {
    for (const party of [given('KeyImported').b, given('VmStarted').b, finish(given('VmStarted')).b]) {
      const { done, look } = world(CSP_B, state, party);
      expect((await look()).kind).toBe(kind);
      expect(done).toEqual(what);
    }
  });
});

it.each<readonly [string, HerePorts['self'], () => Party]>([
  ['whose VM has left', CSP_A, () => finish(given('VmStarted')).a],
  ['that has not imported yet', CSP_B, () => given('KeyReleased').b],
])('nothing is brought back at a side %s', async (_, self, party) => {
  const { done, look } = world(self, { missing: 1 }, party());
  expect((await look()).kind).toBe('whole');
  expect(done).toEqual([]);
});

describe('a VM that came here and was given to a third', () => {
  const CSP_C = trustDomain.parse('csp-c.example');
  const onwardAt = (last: FactType): Journey => {
    const { migrations, ...rest } = given(last).a.journey;
    return {
      ...rest,
      migrations: migrations.map((m) => ({ ...m, source: CSP_B, target: CSP_C, epoch: epoch.parse(FIRST_EPOCH + 1) })),
    };
  };
  // In the simulation: seed 1369 (fast) of 2e1f736. The retirement knew no VM, for ever.
  it.each([
    'SourceQuiesced',
    'KeyReleased',
    'MigrationFinalized',
  ] as const)('at %s: it is brought back, for what is here is to be taken back or to be destroyed', async (last) => {
    const { done, look } = world(CSP_B, { missing: 1, onward: onwardAt(last) }, finish(given('VmStarted')).b);
    expect((await look()).kind).toBe('whole');
    expect(done).toEqual(['keys are back', 'listed at host-1 @1']);
  });

  it('at SourceRetired: it is not', async () => {
    const { done, look } = world(CSP_B, { missing: 1, onward: onwardAt('SourceRetired') }, finish(given('VmStarted')).b);
    expect((await look()).kind).toBe('whole');
    expect(done).toEqual([]);
  });
});
