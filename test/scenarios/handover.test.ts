import { beforeAll, describe, expect, test } from 'vitest';
import { RULES } from './moves.ts';
import { MUTANTS } from './mutants.ts';
import { type Found, search } from './search.ts';
import { renewed, type World } from './world.ts';

/** Hundreds of thousands of worlds on a busy machine. */
const SEARCH_MS_MAX = 240_000;

let first: Found;
const secondEpoch = (): readonly World[] =>
  first.ok ? first.ends.filter((end) => end.a.journey.migrations.length > 0).map(renewed) : [];

beforeAll(() => {
  first = search(RULES);
}, SEARCH_MS_MAX);

/**
 * Exhaustive: two brokers that run the real evolve, react and decide, their hosts with fence registers, a bus that delays,
 * commands that come late and again, each side's database restored once per epoch, each side free to give up at any time.
 */
describe('the hand-over', () => {
  test('one attempt: never both run, and whatever happened there is a way to an end', () => {
    expect(first).toMatchObject({ ok: true });
    expect(first.states).toBeGreaterThan(10_000);
    if (first.ok) expect([...first.pairs].sort()).toMatchSnapshot();
  });

  test(
    'the same when the host records first, and the broker decides after it',
    () => {
      expect(search({ ...RULES, order: 'host-first' })).toMatchObject({ ok: true });
    },
    SEARCH_MS_MAX,
  );

  test(
    'the same when the target re-keys on arrival',
    () => {
      const found = search({ ...RULES, rekey: 'full' });
      expect(found).toMatchObject({ ok: true });
      // Keys are replaced in one more phase of the target, and nowhere else.
      const more = found.ok && first.ok ? [...found.pairs].filter((pair) => !(first.ok && first.pairs.has(pair))) : [];
      expect(more).toEqual(['released × replaced']);
    },
    SEARCH_MS_MAX,
  );

  test(
    'a second attempt after every kind of end, in the direction that the end allows',
    () => {
      expect(secondEpoch().length).toBeGreaterThan(3);
      expect(search({ ...RULES, epochsMax: 2 }, secondEpoch())).toMatchObject({ ok: true });
    },
    SEARCH_MS_MAX,
  );
});

describe('a mutant is caught:', () => {
  test.each(MUTANTS)(
    '$name',
    ({ rules, epochs }) => {
      const found = epochs === 1 ? search(rules) : search({ ...rules, epochsMax: 2 }, secondEpoch());
      expect(found).toMatchObject({ ok: false, violation: 'both run' });
    },
    SEARCH_MS_MAX,
  );
});
