import type { MigrationState } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import { holderBreaks, loosenings } from './core/holders.ts';
import { checkOrder } from './core/order.ts';
import { vmOf } from './testing/telling.ts';

// The fold lets none of these come about: they are laid out by hand, so that the second opinion is tested by itself.
const at = '2026-11-23T10:00:00.000Z';
const fact = (data: unknown = {}, time = at) => ({ digest: 'd', time, causes: [], data });
const move = (epoch: number, source: string, target: string, facts: Record<string, unknown>): MigrationState =>
  ({
    id: `m${epoch}`,
    vm: vmOf(1),
    epoch,
    source,
    target,
    facts: { MigrationIntended: fact(), MigrationOffered: fact(), ...facts },
  }) as unknown as MigrationState;
const moved = { StartAuthorized: fact() };
const [A, B, C] = ['csp-a.example', 'csp-b.example', 'csp-c.example'] as const;
const codes = (...migrations: readonly MigrationState[]) => holderBreaks(vmOf(1), migrations).map(({ refusal }) => refusal.code);

describe('one holder over all pairs', () => {
  it('A → B → C → A is in order', () =>
    expect(codes(move(1, A, B, moved), move(2, B, C, moved), move(3, C, A, moved))).toEqual([]));
  it('an attempt that came to nothing leaves the VM where it was', () =>
    expect(codes(move(1, A, B, {}), move(2, A, C, moved))).toEqual([]));
  it('given back after authorisation', () =>
    expect(codes(move(1, A, B, { ...moved, MigrationRelinquished: fact() }), move(2, A, C, moved))).toEqual([]));
  it('taken back by a broken glass, and sent away again', () => {
    const broken = { ...moved, BreakGlassResumed: fact({ opens: 2 }) };
    expect(codes(move(1, A, B, broken), move(3, A, C, moved))).toEqual([]);
    expect(codes(move(1, A, B, broken), move(3, B, C, moved))).toEqual(['TWO_HOLDERS']);
  });
  it('sent away twice', () => expect(codes(move(1, A, B, moved), move(2, A, C, moved))).toEqual(['TWO_HOLDERS']));
  it('not from home', () => expect(codes(move(1, B, A, moved))).toEqual(['TWO_HOLDERS']));
  it('a move that was not shown may lie in between', () => expect(codes(move(1, A, B, moved), move(3, C, A, moved))).toEqual([]));
  it('one epoch twice', () => expect(codes(move(1, A, B, moved), move(1, A, C, moved))).toEqual(['EPOCH_TWICE']));
});

describe('restrictions on the way', () => {
  const kept = { project: 'p', labels: [], level: 2, jurisdictions: ['DE'], onward: true, legalHold: false };
  const intended = (restrictions?: object) => ({
    ...moved,
    MigrationIntended: fact({ spec: restrictions === undefined ? {} : { restrictions } }),
  });
  const found = (...migrations: readonly MigrationState[]) =>
    loosenings(vmOf(1), migrations).map(({ migration, refusal }) => [migration.epoch, refusal.code]);

  it('only become tighter', () =>
    expect(found(move(1, A, B, intended(kept)), move(2, B, C, intended({ ...kept, level: 3, jurisdictions: [] })))).toEqual([]));
  it('are not washed off by a third CSP', () => {
    expect(found(move(1, A, B, intended(kept)), move(2, B, C, intended({ ...kept, jurisdictions: ['DE', 'US'] })))).toEqual([
      [2, 'RESTRICTIONS_LOOSENED'],
    ]);
    expect(found(move(1, A, B, intended(kept)), move(2, B, C, intended(kept)), move(3, C, B, intended()))).toEqual([
      [3, 'RESTRICTIONS_LOOSENED'],
    ]);
  });
  it('are loosened by the home', () =>
    expect(found(move(1, A, B, intended(kept)), move(2, B, A, intended(kept)), move(3, A, C, intended()))).toEqual([]));
  it('may have been at home where a move was not shown', () =>
    expect(found(move(1, A, B, intended(kept)), move(4, B, C, intended()))).toEqual([]));
  it('are those of the last move, not of an attempt', () =>
    expect(
      found(
        move(1, A, B, intended()),
        move(2, B, C, { MigrationIntended: fact({ spec: { restrictions: { ...kept, project: 'default' } } }) }),
        move(3, B, C, intended()),
      ),
    ).toEqual([]));
});

describe('order within one migration', () => {
  const chain = [
    'OfferAgreed',
    'KeyDeposited',
    'DepositAcknowledged',
    'TargetReady',
    'SourceQuiesced',
    'ImageSealed',
    'ImageVerified',
    'KeyReleased',
    'KeyImported',
  ];
  const facts = Object.fromEntries(
    chain.map((type) => [type, fact(type === 'TargetReady' ? { until: '2026-11-23T11:00:00.000Z' } : {})]),
  );
  const code = (changed: Record<string, unknown>): string => {
    const checked = checkOrder(move(1, A, B, { ...facts, ...changed }));
    return checked.ok ? 'in order' : checked.code;
  };
  it.each([
    ['as it should be', { StartAuthorized: fact(), VmStarted: fact() }, 'in order'],
    ['started without authorisation', { VmStarted: fact() }, 'ORDER_BROKEN'],
    ['released without readiness', { TargetReady: undefined }, 'ORDER_BROKEN'],
    [
      'released after the promise',
      { KeyReleased: fact({}, '2026-11-23T11:00:00.001Z'), KeyImported: fact({}, '2026-11-23T11:00:00.001Z') },
      'ORDER_BROKEN',
    ],
    [
      'authorised before the import by more than clocks differ',
      { StartAuthorized: fact({}, '2026-11-23T09:00:00.000Z') },
      'ORDER_BROKEN',
    ],
    ['resumed after release without the target’s word', { SourceResumed: fact() }, 'TWO_HOLDERS'],
    ['resumed after the target gave it back', { SourceResumed: fact(), MigrationRelinquished: fact({}) }, 'in order'],
    [
      'resumed after authorisation without never',
      { SourceResumed: fact(), StartAuthorized: fact(), MigrationRelinquished: fact({}) },
      'TWO_HOLDERS',
    ],
  ])('%s', (_, changed, expected) => expect(code(changed)).toBe(expected));
});
