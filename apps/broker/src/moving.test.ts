import { describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, given } from '../../../libs/saga/src/testing.ts';
import { hasStartedHere, isMovingHere, mayTakeBack, needsPeer } from './moving.ts';

describe('a VM whose migration is open may be switched on', () => {
  it.each(['VmStarted', 'VmHealthy', 'VolumeRekeyed'] as const)('at %s: by its target, never by its source', (last) => {
    const { a, b } = given(last);
    expect([isMovingHere([a.journey], CSP_A), isMovingHere([b.journey], CSP_B)]).toEqual([true, true]);
    expect([hasStartedHere([a.journey], CSP_A), hasStartedHere([b.journey], CSP_B)]).toEqual([false, true]);
  });

  it.each([
    'MigrationIntended',
    'TargetReady',
    'SourceQuiesced',
    'KeyReleased',
    'KeyImported',
    'StartAuthorized',
  ] as const)('at %s: by nobody', (last) => {
    const { a, b } = given(last);
    expect(isMovingHere([a.journey], CSP_A)).toBe(true);
    expect([
      hasStartedHere([a.journey], CSP_A),
      b.journey.migrations.length > 0 && isMovingHere([b.journey], CSP_B) && hasStartedHere([b.journey], CSP_B),
    ]).toEqual([false, false]);
  });

  it('and by nobody when besides it goes on to a third', () => {
    const arriving = given('VmStarted').b.journey;
    const leaving = given('KeyReleased').a.journey;
    expect(
      hasStartedHere(
        [arriving, { ...leaving, migrations: leaving.migrations.map((m) => ({ ...m, source: CSP_B, target: CSP_A })) }],
        CSP_B,
      ),
    ).toBe(false);
  });
});

describe('a VM may be taken back by whoever gave it', () => {
  it.each(['KeyImported', 'VmStarted', 'MigrationFinalized'] as const)('at %s, though it has ended here', (last) => {
    expect(mayTakeBack([given(last).b.journey], CSP_B)).toBe(CSP_A);
  });

  it.each(['KeyReleased', 'SourceRetired'] as const)('at %s: no, it is not here yet, or the copy there has gone', (last) => {
    expect(mayTakeBack([given(last).b.journey], CSP_B)).toBeUndefined();
  });

  it('and is not what its source gave away itself', () => {
    expect(mayTakeBack([given('MigrationFinalized').a.journey], CSP_A)).toBeUndefined();
  });
});

describe('a peer is needed until both sides of a move are over here and there', () => {
  const needed = (last: Parameters<typeof given>[0]): readonly boolean[] => {
    const { a, b } = given(last);
    const of = (journey: typeof a.journey, self: typeof CSP_A) => journey.migrations.some((m) => needsPeer(m, self));
    return [of(a.journey, CSP_A), of(b.journey, CSP_B)];
  };
  it.each(['KeyReleased', 'KeyImported', 'VmStarted', 'MigrationFinalized'] as const)('at %s: by both', (last) => {
    expect(needed(last)).toEqual([true, true]);
  });
  it('and by nobody once the source has retired its copy', () => {
    expect(needed('SourceRetired')).toEqual([false, false]);
  });
});
