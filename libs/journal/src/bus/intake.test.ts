import { describe, expect, it } from 'vitest';
import {
  INTAKE_BYTES_BURST,
  INTAKE_BYTES_PER_SECOND,
  OTHERS_LATELY_MS,
  REST_MS_MAX,
  UNANSWERED_AGAIN,
  UNANSWERED_MAX,
} from '../limits.ts';
import { A, B } from '../testing/world.ts';
import { openAllowance } from './allowance.ts';
import { openIntakes } from './intake.ts';

/** Stands still until it is told otherwise. */
function clockOf() {
  let ms = 1_000;
  return {
    nowMs: () => ms,
    pass: (by: number) => {
      ms += by;
    },
  };
}

describe('an allowance', () => {
  it('is spent below nothing, and there again when half of all is', () => {
    const clock = clockOf();
    const allowance = openAllowance(clock, { burst: 100, perSecond: 10 });
    allowance.spend(100);
    expect(allowance.isSpent()).toBe(false);
    allowance.spend(20);
    expect(allowance.isSpent()).toBe(true);
    clock.pass(6_900);
    expect(allowance.isSpent()).toBe(true);
    clock.pass(200);
    expect(allowance.isSpent()).toBe(false);
  });

  it('never holds more than all, and a clock that goes back takes nothing away', () => {
    const clock = clockOf();
    const allowance = openAllowance(clock, { burst: 100, perSecond: 10 });
    clock.pass(3_600_000);
    allowance.spend(100);
    clock.pass(-3_600_000);
    expect(allowance.isSpent()).toBe(false);
    allowance.spend(1);
    expect(allowance.isSpent()).toBe(true);
  });
});

describe('a peer’s intake', () => {
  it('is held while much that it asked for has no answer, until half has', () => {
    let unanswered = UNANSWERED_MAX - 1;
    const intake = openIntakes(clockOf(), (peer) => (peer === A ? unanswered : 0));
    const [ofA, ofB] = [intake(A), intake(B)];
    expect(ofA.heldBy()).toBeUndefined();
    unanswered = UNANSWERED_MAX;
    expect([ofA.heldBy(), ofB.heldBy()]).toEqual(['unanswered', undefined]);
    unanswered = UNANSWERED_AGAIN;
    expect(ofA.heldBy()).toBe('unanswered');
    unanswered = UNANSWERED_AGAIN - 1;
    expect(ofA.heldBy()).toBeUndefined();
  });

  it('is held when it made us store too much, and goes on by and by', () => {
    const clock = clockOf();
    const intake = openIntakes(clock, () => 0)(A);
    intake.took(INTAKE_BYTES_BURST + 1, 1);
    expect(intake.heldBy()).toBe('bytes');
    clock.pass((INTAKE_BYTES_BURST / INTAKE_BYTES_PER_SECOND) * 1_000);
    expect(intake.heldBy()).toBeUndefined();
  });

  it('rests as long as its turn took, only while others are heard', () => {
    const clock = clockOf();
    const intake = openIntakes(clock, () => 0);
    const [ofA, ofB] = [intake(A), intake(B)];
    expect(ofA.took(1, 80)).toBe(0);
    expect(ofB.took(1, 80)).toBe(80);
    expect(ofA.took(1, REST_MS_MAX + 1)).toBe(REST_MS_MAX);
    clock.pass(OTHERS_LATELY_MS);
    expect(ofA.took(1, 80)).toBe(0);
  });
});
