import type { Draft, EventData, MigrationEvent, RekeyedVolume, RekeyMethod } from '@carnet/events';
import { describe, expect, test } from 'vitest';
import type { VoidCode } from './codes.ts';
import { decide } from './decide.ts';
import { evolve } from './evolve.ts';
import type { FactType } from './journey.ts';
import {
  CSP_A,
  CSP_B,
  DISK,
  DISK_KEY,
  deliver,
  digestOf,
  FIRST_EPOCH,
  finish,
  given as givenAnyhow,
  intentData,
  M,
  MEMORY,
  NEW_DISK_KEY,
  type Pair,
  type Party,
  party,
  phase,
  placed,
  propose,
  relinquish,
  START,
  step,
} from './testing.ts';

const demanding = (rekey?: RekeyMethod): Pair => {
  const data = intentData('suspend', CSP_A, CSP_B, START, rekey);
  const intent = { type: 'MigrationIntended', migration: M, epoch: FIRST_EPOCH, data } as const;
  return deliver({ a: propose(party(CSP_A, CSP_B), intent, START), b: party(CSP_B, CSP_A) });
};

/** As `given`, of a migration that demands this on arrival. */
function given(last: FactType, rekey: RekeyMethod): Pair {
  let pair = demanding(rekey);
  for (let steps = 0; steps < 40; steps++) {
    if ([...pair.a.ledger, ...pair.b.ledger].some(({ event }) => event.type === last)) return pair;
    const a = step(pair.a, START);
    pair = deliver(a === pair.a ? { ...pair, b: step(pair.b, START) } : { ...pair, a });
  }
  throw new Error(`no ${last}`);
}

const lies = (p: Party, draft: Draft<MigrationEvent>): VoidCode | undefined =>
  evolve(p.journey, placed(draft, p.self, p.peer, p.ledger.length + 1, START)).voidCode;

const saidBy = <T extends FactType>(p: Party, type: T): Extract<MigrationEvent, { readonly type: T }> => {
  const said = p.ledger.find(({ event }) => event.type === type)?.event;
  if (said?.type !== type) throw new Error(`no ${type}`);
  return said as Extract<MigrationEvent, { readonly type: T }>;
};

const order = (pair: Pair): readonly string[] => pair.b.ledger.map(({ event }) => event.type);

describe.each(['slot', 'full'] as const)('%s, as agreed', (method) => {
  test('is done before the start is authorised, once, and nothing is said of it after the start', () => {
    const { a, b } = finish(demanding(method));
    expect(a.journey).toEqual(b.journey);
    expect(phase(a)).toBe('retired');
    const { length } = order({ a, b }).filter((type) => type === 'VolumeRekeyed');
    const [rekeyed, authorized] = ['VolumeRekeyed', 'StartAuthorized'].map((type) => order({ a, b }).indexOf(type));
    expect([length, (rekeyed ?? 0) < (authorized ?? 0), rekeyed]).toEqual([1, true, order({ a, b }).indexOf('KeyImported') + 1]);
  });

  test('that goes wrong gives the VM back, with the word of the host', () => {
    for (const last of ['KeyImported', 'VolumeRekeyed'] as const) {
      const { a, b } = given(last, method);
      const ended = finish({ a, b: relinquish(b) });
      expect(phase(ended.a)).toBe('rolled-back');
    }
  });
});

describe('full-online, as agreed', () => {
  test('is done once the VM is healthy, and nothing is final before', () => {
    const { a, b } = finish(demanding('full-online'));
    expect(a.journey).toEqual(b.journey);
    expect(phase(a)).toBe('retired');
    expect(order({ a, b }).slice(-3)).toEqual(['VmHealthy', 'VolumeRekeyed', 'MigrationFinalized']);
    const { b: healthy } = given('VmHealthy', 'full-online');
    const finalized = saidBy(given('MigrationFinalized', 'full-online').b, 'MigrationFinalized');
    expect(lies(healthy, finalized)).toBe('WRONG_PHASE');
  });

  test('may be more: encrypted again before the start; less, or at another time, is void', () => {
    const [online, full, slot] = (['full-online', 'full', 'slot'] as const).map((method) =>
      saidBy(given('VolumeRekeyed', method).b, 'VolumeRekeyed'),
    ) as [Rekeyed, Rekeyed, Rekeyed];
    const imported = given('KeyImported', 'full-online').b;
    const healthy = given('VmHealthy', 'full-online').b;
    const none: Rekeyed = { ...online, data: { method: 'none', artifacts: [DISK] } };
    expect([full, online, slot, none].map((said) => lies(imported, said))).toEqual([
      undefined,
      'WRONG_PHASE',
      'REKEY_WEAKER',
      'REKEY_WEAKER',
    ]);
    expect([online, full, slot, none].map((said) => lies(healthy, said))).toEqual([
      undefined,
      'WRONG_PHASE',
      'REKEY_WEAKER',
      'REKEY_WEAKER',
    ]);
    expect(lies(given('VolumeRekeyed', 'full-online').b, online)).toBe('WRONG_PHASE');
    // What was to be done before the start is not made good by what comes after it.
    expect(lies(given('KeyImported', 'full').b, saidBy(given('StartAuthorized', 'full-online').b, 'StartAuthorized'))).toBe(
      'REKEY_OWED',
    );
  });
});

type Rekeyed = Extract<MigrationEvent, { readonly type: 'VolumeRekeyed' }>;

describe('a target that does less than agreed', () => {
  test('offers less than was demanded: void, and an honest one does not', () => {
    const { b } = demanding('full');
    const offered = saidBy(given('MigrationOffered', 'full').b, 'MigrationOffered');
    for (const rekey of ['none', 'slot'] as const)
      expect(lies(b, { ...offered, data: { ...offered.data, rekey } })).toBe('REKEY_WEAKER');
    const { rekey: _left, ...without } = offered.data;
    expect(lies(b, { ...offered, data: without })).toBe('REKEY_WEAKER');
    const proposal = { type: 'MigrationOffered', migration: M, data: without } as const;
    expect(decide(b.journey, CSP_B, proposal, START)).toMatchObject({ ok: false, code: 'REKEY_WEAKER' });
  });

  test('starts without it', () => {
    const { b } = given('KeyImported', 'slot');
    const authorized = saidBy(given('StartAuthorized', 'slot').b, 'StartAuthorized');
    expect(lies(b, authorized)).toBe('REKEY_OWED');
  });

  test.each<[string, Partial<Exclude<EventData<'VolumeRekeyed'>, { method: 'none' }>>, VoidCode]>([
    ['a weaker method', { method: 'slot' }, 'REKEY_WEAKER'],
    ['no volume of them', { volumes: [] }, 'KEYS_DIFFER'],
    ['another volume', { volumes: volume({ artifact: MEMORY }) }, 'KEYS_DIFFER'],
    [
      'another key than came',
      { volumes: volume({ from: { key: NEW_DISK_KEY, version: 1, headerDigest: digestOf('3') } }) },
      'KEYS_DIFFER',
    ],
    [
      'the key that came, again',
      { volumes: volume({ to: { ...volume({})[0].from, headerDigest: digestOf('4') } }) },
      'KEYS_DIFFER',
    ],
    [
      'the header that came, again',
      { volumes: volume({ to: { key: NEW_DISK_KEY, version: 1, headerDigest: digestOf('3') } }) },
      'HEADER_UNCHANGED',
    ],
    ['an import that was not', { imported: digestOf('f') }, 'CITATION_MISMATCH'],
  ])('says %s', (_, change, code) => {
    const { b } = given('KeyImported', 'full');
    const rekeyed = saidBy(given('VolumeRekeyed', 'full').b, 'VolumeRekeyed');
    if (rekeyed.data.method === 'none') throw new Error('expected a method');
    expect(lies(b, { ...rekeyed, data: { ...rekeyed.data, ...change } })).toBe(code);
    expect(lies(b, rekeyed)).toBeUndefined();
  });

  test('says that nothing was done, before or after the start', () => {
    const none = { method: 'none', artifacts: [DISK] } as const;
    for (const last of ['KeyImported', 'VmHealthy'] as const) {
      const { b } = given(last, 'slot');
      expect(lies(b, { ...saidBy(given('VolumeRekeyed', 'slot').b, 'VolumeRekeyed'), data: none })).toBe('REKEY_WEAKER');
    }
  });
});

describe('more than agreed', () => {
  test('counts, when it is said before the start', () => {
    const rekeyed = saidBy(given('VolumeRekeyed', 'full').b, 'VolumeRekeyed');
    expect(lies(given('KeyImported', 'slot').b, rekeyed)).toBeUndefined();
    expect(lies(given('VmHealthy', 'slot').b, rekeyed)).toBe('WRONG_PHASE');
  });

  test('where nothing was agreed, the first brokers’ order stands: started, healthy, then said', () => {
    const { b } = givenAnyhow('VolumeRekeyed');
    expect(order({ a: b, b }).slice(-2)).toEqual(['VmHealthy', 'VolumeRekeyed']);
    expect(JSON.stringify(b.ledger)).not.toContain(NEW_DISK_KEY);
  });
});

type Change = {
  readonly artifact?: RekeyedVolume['artifact'];
  readonly from?: RekeyedVolume['from'];
  readonly to?: RekeyedVolume['to'];
};

/** What the sample performer says of the one disk, with a change. */
function volume(change: Change): readonly [RekeyedVolume] {
  const from = { key: DISK_KEY, version: 1, headerDigest: digestOf('3') };
  const to = { key: NEW_DISK_KEY, version: 1, headerDigest: digestOf('4') };
  return [{ artifact: DISK, from, to, ...change }];
}
