import { epoch } from '@carnet/events';
import type { Journey } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import {
  CSP_A,
  CSP_B,
  CSP_C,
  deliver,
  given,
  relinquish,
  SAMPLE_OFFER_MS,
  START,
  withdraw,
} from '../../../libs/saga/src/testing.ts';
import { isMovingHere, nextEpochWith } from './moving.ts';
import { isSettled, isSettledForGood } from './settled.ts';

const LATER = new Date(Date.parse(START) + SAMPLE_OFFER_MS * 2).toISOString() as typeof START;
const fromC = (journey: Journey, changes: object = {}): Journey => ({
  ...journey,
  migrations: journey.migrations.map((m) => ({ ...m, source: CSP_C, target: CSP_A, ...changes })),
});

describe('settled', () => {
  it('a source that was refused is not: it has yet to withdraw', () => {
    const { migrations, vm } = given('MigrationIntended').a.journey;
    const refused: Journey = { vm, migrations: migrations.map((m) => ({ ...m, targetPhase: 'refused' })) };
    expect([isSettled(refused, CSP_A, START), isSettled(refused, CSP_B, START)]).toEqual([false, true]);
  });

  it('a target is not before it has given back, though the source resumed long ago', () => {
    const pair = given('ImageSealed');
    const resumed = { ...deliver({ ...pair, a: withdraw(pair.a) }).b.journey };
    const said: Journey = { ...resumed, migrations: resumed.migrations.map((m) => ({ ...m, sourcePhase: 'resumed' })) };
    expect(isSettled(said, CSP_B, START)).toBe(false);
    expect(isSettled(deliver({ ...pair, b: relinquish(pair.b) }).b.journey, CSP_B, START)).toBe(true);
  });

  it('an intent that nobody may answer any more, and that its peer never ends, is', () => {
    const { journey } = given('MigrationIntended').b;
    expect([isSettled(journey, CSP_B, START), isSettled(journey, CSP_B, LATER)]).toEqual([false, true]);
  });

  it('is not for good what only the clock has settled', () => {
    const { journey } = given('MigrationIntended').b;
    expect([isSettled(journey, CSP_B, LATER), isSettledForGood(journey, CSP_B)]).toEqual([true, false]);
    const pair = given('ImageSealed');
    const ended = deliver({ ...pair, b: relinquish(pair.b) }).b.journey;
    expect(isSettledForGood(ended, CSP_B)).toBe(true);
  });
});

describe('a peer that wants to hold our VM', () => {
  const claimed = fromC(given('MigrationIntended').b.journey, { epoch: epoch.parse(Number.MAX_SAFE_INTEGER) });
  const refused = fromC(claimed, { targetPhase: 'refused' });

  it('does not by an intent that we never answered, or refused', () => {
    expect([isMovingHere([claimed], CSP_A), isMovingHere([refused], CSP_A)]).toEqual([false, false]);
    expect(isMovingHere([given('MigrationOffered').a.journey], CSP_A)).toBe(true);
  });

  it('does not by never answering what we withdrew', () => {
    const pair = given('MigrationOffered');
    expect(isMovingHere([deliver({ ...pair, a: withdraw(pair.a) }).a.journey], CSP_A)).toBe(false);
  });

  it('uses up no epochs but those between itself and us', () => {
    expect([nextEpochWith([claimed, refused], CSP_A, CSP_B), nextEpochWith([refused], CSP_A, CSP_C)]).toEqual([
      1,
      Number.MAX_SAFE_INTEGER + 1,
    ]);
    expect(nextEpochWith([given('MigrationOffered').a.journey], CSP_A, CSP_B)).toBe(2);
  });
});
