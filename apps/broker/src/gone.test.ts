import { epoch, type KeyId, type MigrationId, type VmId } from '@carnet/events';
import type { KeysOver } from '@carnet/keys';
import type { Journey } from '@carnet/saga';
import { expect, it } from 'vitest';
import { CSP_A, CSP_B, CSP_C, finish, given, M, type Party, relinquish, VM, withdraw } from '../../../libs/saga/src/testing.ts';
import { destroyWhatIsGone, type GonePorts } from './gone.ts';
import type { HeldVm } from './inventory.ts';

/** An inventory with or without the VM, and what was done. */
function world(
  self: GonePorts['self'],
  listed: number | undefined,
  undiscarded: readonly MigrationId[] = [],
  memory: 'held' | 'gone' = 'held',
  unended: readonly MigrationId[] = [],
  stillHolding: readonly MigrationId[] = [],
  others: readonly Journey[] = [],
  /** The listing as the transaction finds it. */
  inTime = listed,
) {
  const done: string[] = [];
  const over: KeysOver[] = [];
  const ports = {
    self,
    store: { db: { transaction: () => ({ execute: (work: (tx: unknown) => unknown) => work({}) }) } },
    ledgers: { journeys: async () => others },
    inventory: {
      vm: async (vm: VmId) => (listed === undefined ? undefined : ({ vm, epoch: listed } as HeldVm)),
      lockVm: async (_tx: unknown, vm: VmId) => (inTime === undefined ? undefined : ({ vm, epoch: inTime } as HeldVm)),
      remove: async () => void done.push('listed no more'),
    },
    keys: {
      retire: async (_tx: unknown, { keys }: { readonly keys: readonly unknown[] }) => {
        done.push(`${keys.length} keys destroyed`);
        return { ok: true, value: [] };
      },
      undestroyedOf: async (keys: readonly KeyId[]) => (memory === 'held' ? keys : []),
      unendedOf: async (of: readonly MigrationId[]) => of.filter((one) => unended.includes(one)),
      eraseSpares: async (keys: readonly KeysOver[]) => void over.push(...keys),
      undiscardedOf: async (of: readonly MigrationId[]) => of.filter((one) => undiscarded.includes(one)),
      stillHoldingOf: async (of: readonly MigrationId[]) => of.filter((one) => stillHolding.includes(one)),
      discard: async (_tx: unknown, { migration }: { readonly migration: MigrationId }) => {
        done.push(`what ${migration === M ? 'this migration' : migration} brought destroyed`);
        return { ok: true, value: [] };
      },
    },
    handover: {
      reinstate: async () => void done.push('keys in use again'),
      memoryUsed: async (_tx: unknown, _vm: VmId, keys: readonly { readonly kind: string }[]) =>
        void done.push(`${keys.length} ${keys[0]?.kind} key destroyed`),
    },
    log: { warn: () => undefined },
  } as unknown as GonePorts;
  return { done, over, look: ({ journey }: Party) => destroyWhatIsGone(ports, journey) };
}

it.each([
  ['moved away and is still listed, as of home', CSP_A, 0, () => finish(given('VmStarted')).a, true],
  ['moved away and is listed no more', CSP_A, undefined, () => finish(given('VmStarted')).a, false],
  ['came back since, in a later epoch', CSP_A, 2, () => finish(given('VmStarted')).a, false],
  ['came here by this very migration', CSP_B, 1, () => finish(given('VmStarted')).b, false],
  ['is released and not retired', CSP_A, 0, () => given('KeyReleased').a, false],
] as const)('a VM that %s', async (_, self, epoch, story, isDestroyed) => {
  const { done, look } = world(self, epoch, [], 'gone');
  const party = story();
  expect(party.journey.vm).toBe(VM);
  await look(party);
  expect(done).toEqual(isDestroyed ? ['2 keys destroyed', 'listed no more'] : []);
});

it('a VM that moved away, and has come back by another journey in the moment between: nothing of it is destroyed', async () => {
  const { done, look } = world(CSP_A, 0, [], 'gone', [], [], [], 2);
  await look(finish(given('VmStarted')).a);
  expect(done).toEqual([]);
});

const givenBack = (last: 'DepositAcknowledged' | 'KeyImported'): Party => {
  const { a, b } = given(last);
  return finish({ a, b: relinquish(b) }).b;
};

/** Its source broke the glass, and the copy here was stopped, and given up by its operator. */
function discarded(): Party {
  const { b } = given('VmStarted');
  const migrations = b.journey.migrations.map((m) => ({ ...m, targetPhase: 'discarded' }) as const);
  return { ...b, journey: { ...b.journey, migrations } };
}

it.each<readonly [string, Party, number | undefined, readonly MigrationId[], readonly string[]]>([
  ['and whose rows are back', givenBack('KeyImported'), 1, [M], ['what this migration brought destroyed', 'listed no more']],
  ['before it was imported', givenBack('DepositAcknowledged'), undefined, [M], ['what this migration brought destroyed']],
  ['and came again in a later epoch', givenBack('KeyImported'), 2, [M], ['what this migration brought destroyed']],
  ['and of which nothing is left', givenBack('KeyImported'), undefined, [], []],
  ['never', given('KeyImported').b, 1, [M], []],
  [
    'and whose copy was discarded',
    discarded(),
    1,
    [M],
    ['1 memory key destroyed', 'what this migration brought destroyed', 'listed no more'],
  ],
])('a VM that was given back %s', async (_, party, epoch, undiscarded, what) => {
  const { done, look } = world(CSP_B, epoch, undiscarded);
  await look(party);
  expect(done).toEqual(what);
});

/** B gave the VM on, in an epoch after it had come, or before. */
function handedOn({ journey }: Party, epochsLater = 1): Journey {
  const migrations = journey.migrations.map(
    (m) => ({ ...m, source: CSP_B, target: CSP_C, epoch: epoch.parse(m.epoch + epochsLater), sourcePhase: 'retired' }) as const,
  );
  return { ...journey, migrations };
}

const came = finish(given('VmStarted')).b;

it.each<readonly [string, Party, number | undefined, readonly MigrationId[], readonly Journey[], boolean]>([
  ['and left, and whose keys are back as they were before the import', came, undefined, [M], [handedOn(came)], true],
  ['and left, and has come again since', came, 3, [M], [handedOn(came)], true],
  ['and left, and is still listed: its journey away comes first', came, 1, [M], [handedOn(came)], false],
  ['and had left before that: it is here', came, 3, [M], [handedOn(came, 0)], false],
  ['and left, with all its keys', came, undefined, [], [handedOn(came)], false],
  ['and whose leaving is not known, or not yet again', came, undefined, [M], [], false],
  ['and has only its keys yet', given('DepositAcknowledged').b, undefined, [M], [handedOn(came)], false],
])('a VM that came %s', async (_, party, epoch, stillHolding, others, isDestroyed) => {
  const { done, look } = world(CSP_B, epoch, [], 'gone', [], stillHolding, others);
  await look(party);
  expect(done).toEqual(isDestroyed ? ['what this migration brought destroyed'] : []);
});

it.each([
  ['was agreed on, and withdrawn before the deposit', () => ended('OfferAgreed'), CSP_A, 'held', true],
  ['was withdrawn after the deposit, and is back', () => ended('KeyDeposited'), CSP_A, 'held', true],
  ['was withdrawn, for all we know before it was saved', () => withdraw(given('KeyDeposited').a), CSP_A, 'held', false],
  ['was resumed, and is back', () => ended('SourceQuiesced'), CSP_A, 'held', true],
  ['was started here, and is back', () => given('VmStarted').b, CSP_B, 'held', true],
  ['came here and is not started yet', () => given('StartAuthorized').b, CSP_B, 'held', false],
  ['is not ours to send', () => withdraw(given('OfferAgreed').a), CSP_B, 'held', false],
  ['may still be deposited', () => given('OfferAgreed').a, CSP_A, 'held', false],
  ['was withdrawn, and is still to be resumed from', () => withdraw(given('SourceQuiesced').a), CSP_A, 'held', false],
  ['was withdrawn after the deposit, which ended the key', () => ended('KeyDeposited'), CSP_A, 'gone', false],
] as const)('the key of the memory of a move that %s', async (_, story, self, memory, isDestroyed) => {
  const { done, look } = world(self, undefined, [], memory);
  await look(story());
  expect(done).toEqual(isDestroyed ? ['1 memory key destroyed'] : []);
});

it.each([
  ['was withdrawn after the deposit', () => withdraw(given('KeyDeposited').a), [M], true],
  ['was resumed', () => ended('SourceQuiesced'), [M], true],
  ['was resumed, and its keys with it', () => ended('SourceQuiesced'), [], false],
  ['is still to be resumed', () => withdraw(given('SourceQuiesced').a), [M], false],
  ['moved away', () => finish(given('VmStarted')).a, [M], false],
] as const)('the keys of a VM that %s, in a database of before', async (_, story, unended, isBack) => {
  const { done, look } = world(CSP_A, undefined, [], 'gone', unended);
  await look(story());
  expect(done).toEqual(isBack ? ['keys in use again'] : []);
});

it('spares of keys that came go when the ledger says that they are over, and not before', async () => {
  const overOf = async (party: Party, self: GonePorts['self'] = CSP_B) => {
    const { over, look } = world(self, undefined, [], 'gone');
    await look(party);
    return over.map(({ epoch, why, keys }) => [epoch, why, keys.length]);
  };
  expect(await overOf(given('KeyImported').b)).toEqual([]);
  expect(await overOf(given('VmStarted').b)).toEqual([[1, 'used', 1]]);
  expect(await overOf(givenBack('KeyImported'))).toEqual([[1, 'given-back', 2]]);
  // What was never released to us was never a key here: its name may be that of another VM's.
  expect(await overOf(givenBack('DepositAcknowledged'))).toEqual([]);
  expect(await overOf(given('VmStarted').a, CSP_A)).toEqual([]);
});

/** Its source withdrew there, and whatever either side owed then is done. */
function ended(last: 'OfferAgreed' | 'KeyDeposited' | 'SourceQuiesced'): Party {
  const { a, b } = given(last);
  return finish({ a: withdraw(a), b }).a;
}
