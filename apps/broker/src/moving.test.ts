import { describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, given } from '../../../libs/saga/src/testing.ts';
import { hasStartedHere, isMovingHere, mayTakeBack } from './moving.ts';

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
