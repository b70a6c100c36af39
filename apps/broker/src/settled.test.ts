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
import { createSettled, isSettled } from './settled.ts';

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

  it('a sweep passes over what is settled until another intent is placed, and over nothing that was not folded', () => {
    const settled = createSettled();
    const key = { vm: 'vm', peer: CSP_B };
    const other = { vm: 'vm', peer: CSP_C };
    settled.settle(key, settled.seen(key));
    expect(settled.unsettled([key, other])).toEqual([other, key]);
    settled.settle(key, settled.seen(key));
    expect(settled.unsettled([key, other])).toEqual([other]);
    // Placed while the journey was being folded: the fold may not have seen it.
    const before = settled.seen(key);
    expect(settled.unsettled([key, key, other])).toEqual([other, key]);
    settled.settle(key, before);
    expect(settled.unsettled([key, key, other])).toEqual([other, key]);
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
