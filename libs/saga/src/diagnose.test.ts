import { describe, expect, test } from 'vitest';
import { diagnose, type Standing, standingOf } from './diagnose.ts';
import type { FactType } from './journey.ts';
import {
  begun,
  deliver,
  finish,
  given,
  type Pair,
  type Party,
  relinquish,
  SAMPLE_DEADLINE_MS,
  START,
  withdraw,
} from './testing.ts';
import { shift } from './time.ts';

const of = ({ journey }: Party, now = START) => {
  const [m] = journey.migrations;
  if (m === undefined) throw new Error('every story begins with an intent');
  return { ...diagnose(journey, m, now), m };
};

describe('standing', () => {
  test.each<[FactType, Standing]>([
    ['MigrationIntended', 'at-source'],
    ['MigrationOffered', 'at-source'],
    ['OfferAgreed', 'at-source'],
    ['KeyDeposited', 'at-source'],
    ['DepositAcknowledged', 'at-source'],
    ['TargetReady', 'at-source'],
    ['SourceQuiesced', 'stopped'],
    ['ImageSealed', 'stopped'],
    ['ImageVerified', 'stopped'],
    ['KeyReleased', 'in-doubt'],
    ['KeyImported', 'in-doubt'],
    ['StartAuthorized', 'at-target'],
    ['VmStarted', 'at-target'],
    ['MigrationFinalized', 'at-target'],
    ['SourceRetired', 'moved'],
  ])('after %s: %s, at both sides', (last, standing) => {
    const { a, b } = given(last);
    expect([of(a).standing, of(b).standing]).toEqual([standing, standing]);
  });

  test.each<[string, Pair, Standing]>([
    ['withdrawn before anything was stopped', deliver({ ...begun(), a: withdraw(begun().a) }), 'stayed'],
    ['withdrawn after the stop', withdrawn('SourceQuiesced'), 'returning'],
    ['withdrawn after the stop, and resumed', finish(withdrawn('SourceQuiesced')), 'stayed'],
    ['given back after the release', givenBack('KeyReleased'), 'returning'],
    ['given back after the release, and resumed', finish(givenBack('KeyReleased')), 'stayed'],
    ['given back before the source had released', givenBack('ImageVerified'), 'stopped'],
  ])('%s: %s', (_, { a }, standing) => {
    expect(of(a).standing).toBe(standing);
  });

  function withdrawn(last: FactType): Pair {
    const pair = given(last);
    return deliver({ ...pair, a: withdraw(pair.a) });
  }
  function givenBack(last: FactType): Pair {
    const pair = given(last);
    return deliver({ ...pair, b: relinquish(pair.b) });
  }
});

describe('turns', () => {
  test('whoever owes something must act, by either ledger view', () => {
    const { a, b } = given('KeyReleased');
    expect(of(a).turns).toEqual([{ side: 'target', csp: b.self, owes: ['ImportKeys'], givesUpAt: undefined }]);
    expect(of(b).turns).toEqual(of(a).turns);
    expect(of(a).since).toBe(of(a).m.facts.KeyReleased?.time);
  });

  test('after a deadline the one that waited must act, too', () => {
    const { a } = given('SourceQuiesced');
    const late = shift(START, 2 * SAMPLE_DEADLINE_MS);
    expect(of(a).turns.map(({ owes }) => owes)).toEqual([['SealImage']]);
    expect(of(a, late).turns.map(({ side, owes }) => [side, owes])).toEqual([
      ['source', ['Withdraw']],
      ['target', ['Relinquish']],
    ]);
  });

  test('nobody, once both have ended', () => {
    const { a } = finish(begun());
    expect(of(a).turns).toEqual([]);
    expect(standingOf(of(a).m)).toBe('moved');
  });
});
