import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { commandOf, parseWanted } from './sim/arguments.ts';
import { CAUGHT } from './sim/caught.ts';
import { CORPUS } from './sim/corpus.ts';
import { translated } from './sim/database.ts';
import { MUTANTS } from './sim/mutants.ts';
import { seeded } from './sim/random.ts';
import { mutantOf, runSeed, SETTING, type Setting, shrink } from './sim/run.ts';

/** A slice of what `npm run simulate` runs. With all of this file below two minutes on one processor. */
const SEEDS = 12;
/** A history takes about half a second; on a busy machine ten times that. */
const HISTORY_MS_MAX = 60_000;
/** Within so many. */
const REAL_SEEDS_MAX = 8;
/** Dozens of histories. */
const SHRINKING_MS_MAX = 240_000;

describe('a simulated federation', () => {
  test.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
    'seed %i: whatever happens, no rule is broken',
    async (seed) => {
      const { violation, trace } = await runSeed(seed);
      expect(violation, trace.slice(-40).join('\n')).toBeUndefined();
    },
    HISTORY_MS_MAX,
  );

  test.each([101, 102, 103, 104])(
    'seed %i, with the model of the key manager: no rule is broken',
    async (seed) => {
      const { violation, trace } = await runSeed(seed, { ...SETTING, keys: 'model' });
      expect(violation, trace.slice(-40).join('\n')).toBeUndefined();
    },
    HISTORY_MS_MAX,
  );

  test.each(CORPUS)(
    'seed $seed, which once failed: $found',
    async ({ seed, keys }) => {
      expect((await runSeed(seed, { ...SETTING, keys: keys ?? 'real' })).violation).toBeUndefined();
    },
    HISTORY_MS_MAX,
  );

  it(
    'is the same history for the same seed, to the last byte of its trace',
    async () => {
      const [once, again, other] = [await runSeed(1), await runSeed(1), await runSeed(8)];
      expect(again.digest).toBe(once.digest);
      expect(again.trace).toEqual(once.trace);
      expect(once.trace.length).toBeGreaterThan(30);
      expect(other.digest).not.toBe(once.digest);
    },
    HISTORY_MS_MAX,
  );

  it(
    'has faults in it, moves that end well, and moves that do not',
    async () => {
      const outcomes = [];
      for (const seed of [1, 3, 5, 9, 18]) outcomes.push(await runSeed(seed));
      expect(outcomes.filter(({ faults }) => faults.length > 20).length).toBeGreaterThan(1);
      const ends = new Set(outcomes.flatMap((outcome) => Object.keys(outcome.ends)));
      expect(ends).toContain('retired × finalized');
      expect(ends.size).toBeGreaterThan(1);
    },
    HISTORY_MS_MAX,
  );
});

describe('a VM that goes round', () => {
  it(
    'comes back to where it was born by way of two others, and no rule is broken',
    async () => {
      const { rounds, violation } = await runSeed(Number.MAX_SAFE_INTEGER, { ...SETTING, crashes: 'round' });
      expect([violation, rounds > 0]).toEqual([undefined, true]);
    },
    HISTORY_MS_MAX,
  );
});

/** In one they say what is true, in the other not. */
const GLASS = [26, 279];

describe('a release without an answer', () => {
  const broken = /breaks the glass: yes/;

  it(
    'people who may break the glass, and no rule is broken; some of them say what is not true',
    async () => {
      const traces = [];
      for (const seed of GLASS) {
        const { violation, trace } = await runSeed(seed, { ...SETTING, keys: 'model' });
        expect(violation, trace.slice(-40).join('\n')).toBeUndefined();
        traces.push(trace.join('\n'));
      }
      expect(traces.every((trace) => broken.test(trace))).toBe(true);
      for (const seen of ['words, true', 'words, not true', 'CopyDiscarded', 'TOO_EARLY', 'BREAK_GLASS_OWNER_FALSE'])
        expect(traces.join('\n')).toContain(seen);
    },
    HISTORY_MS_MAX,
  );

  it(
    'a VM that moved with its memory comes back with it',
    async () => {
      const { violation, trace } = await runSeed(466);
      expect([violation, broken.test(trace.join('\n'))]).toEqual([undefined, true]);
    },
    HISTORY_MS_MAX,
  );
});

describe('beside a dishonest CSP', () => {
  test.each([1, 2, 3, 4, 5])(
    'seed %i: what the others owe each other holds, and it is convicted',
    async (seed) => {
      const { violation, trace } = await runSeed(seed, { ...SETTING, dishonest: 'one' });
      expect(violation, trace.slice(-40).join('\n')).toBeUndefined();
      expect(trace.join('\n')).toContain('is dishonest');
    },
    HISTORY_MS_MAX,
  );
});

describe('an accident at one place of one move', () => {
  // `npm run simulate -- --crashes all` takes each place.
  test.each([
    { crashes: 'move', least: 200, end: 'retired × finalized', every: 20 },
    { crashes: 'refused', least: 100, end: 'withdrawn × refused', every: 20 },
    { crashes: 'given-back', least: 200, end: 'resumed × relinquished', every: 40 },
    { crashes: 'glass', least: 1_000, end: 'resumed × relinquished', every: 400 },
    { crashes: 'glass-split', least: 1_500, end: 'resumed × discarded', every: 500 },
    { crashes: 'suspend-again', least: 2_500, end: 'retired × finalized', every: 600 },
    { crashes: 'power-suspend', least: 60, end: 'retired × finalized', every: 20 },
    { crashes: 'libvirtd-suspend', least: 60, end: 'retired × finalized', every: 20 },
  ] as const)(
    '$crashes: breaks no rule, wherever it is',
    async ({ crashes, least, end, every }) => {
      const setting: Setting = { ...SETTING, keys: 'model', crashes };
      const { places, violation, ends } = await runSeed(Number.MAX_SAFE_INTEGER, setting);
      expect([violation, Object.keys(ends)]).toEqual([undefined, [end]]);
      expect(places).toBeGreaterThan(least);
      for (let place = 1; place <= places; place += every) {
        const died = await runSeed(place, setting);
        expect(died.faults.length, `place ${place}`).toBe(1);
        // Whoever dies before the request is recorded has not been asked.
        expect([[], [end]], `place ${place}`).toContainEqual(Object.keys(died.ends));
        expect(died.violation, `place ${place}\n${died.trace.slice(-40).join('\n')}`).toBeUndefined();
      }
    },
    HISTORY_MS_MAX,
  );
});

describe('what befalls a move from elsewhere', () => {
  // `npm run simulate -- --crashes all --instead all` takes each place of each.
  test.each([
    { crashes: 'move', instead: 'bus-away' },
    { crashes: 'move', instead: 'bus-back' },
    { crashes: 'suspend', instead: 'guest-source' },
    { crashes: 'suspend', instead: 'backup-both' },
    { crashes: 'suspend-again', instead: 'first-backup-source' },
  ] as const)(
    '$instead, in the midst of $crashes: breaks no rule, wherever it is',
    async ({ crashes, instead }) => {
      const setting: Setting = { ...SETTING, keys: 'model', crashes, instead };
      const { places } = await runSeed(Number.MAX_SAFE_INTEGER, setting);
      expect(places).toBeGreaterThan(EVERY);
      for (let place = 1; place <= places; place += EVERY) {
        const { violation, faults, trace } = await runSeed(place, setting);
        expect(faults.length, `place ${place}`).toBe(1);
        expect(violation, `place ${place}\n${trace.slice(-40).join('\n')}`).toBeUndefined();
      }
    },
    HISTORY_MS_MAX,
  );
});
const EVERY = 150;

const settingOf = (name: string): Setting => {
  const mutant = mutantOf(name);
  if (mutant === undefined) throw new Error(`no mutant ${name}`);
  return { ...SETTING, mutant };
};

describe('a mutant is caught by the seed, and as the rule, that are said of it:', () => {
  test.each(Object.entries(CAUGHT))(
    '%s',
    async (name, { seed, as }) => {
      expect((await runSeed(seed, { ...settingOf(name), keys: 'model' })).violation?.rule).toBe(as);
    },
    HISTORY_MS_MAX,
  );

  it.each([
    { name: 'arrives-unrecorded', rule: 'I2 never neither' },
    { name: 'no-shredding', rule: 'I6 nothing left' },
  ])(
    '$name, also beside a liar who never had the VM',
    async ({ name, rule }) => {
      const setting: Setting = { ...settingOf(name), keys: 'model', dishonest: 'one' };
      expect((await runSeed(23, setting)).violation?.rule).toBe(rule);
    },
    HISTORY_MS_MAX,
  );

  it('each of them, and the README says the same', () => {
    expect(Object.keys(CAUGHT).toSorted()).toEqual(MUTANTS.map(({ name }) => name).toSorted());
    const page = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
    for (const { name, breaks } of MUTANTS) {
      const { seed, as } = CAUGHT[name] ?? {};
      expect(page).toContain(`| ${name} | ${breaks} | ${seed} | ${as} |`);
    }
  });

  it.each(['import-before-release', 'key-kept-after-release'])(
    '%s, of the real key manager as well',
    async (name) => {
      const caught: (string | undefined)[] = [];
      for (let seed = 1; seed <= REAL_SEEDS_MAX && !caught.includes('I4 one key'); seed += 1)
        caught.push((await runSeed(seed, settingOf(name))).violation?.rule);
      expect(caught).toContain('I4 one key');
    },
    HISTORY_MS_MAX,
  );
});

describe('a history that fails', () => {
  /** A crash that nobody makes good: without faults it ends well. */
  const [SEED, NAME] = [42, 'no-sweep'];

  it(
    'is shown again to the last byte, and with the fewest faults that it needs',
    async () => {
      const setting: Setting = { ...settingOf(NAME), keys: 'model' };
      const [failing, again] = [await runSeed(SEED, setting), await runSeed(SEED, setting)];
      expect(failing.violation).toBeDefined();
      expect([again.digest, again.violation]).toEqual([failing.digest, failing.violation]);

      const small = await shrink(SEED, setting, failing);
      expect(small.outcome.violation?.rule).toBe(failing.violation?.rule);
      expect(small.outcome.faults.length).toBeLessThan(failing.faults.length);
      expect(small.outcome.faults.length).toBeGreaterThan(0);
      const replayed = await runSeed(SEED, setting, small.without);
      expect([replayed.digest, replayed.faults]).toEqual([small.outcome.digest, small.outcome.faults]);
      expect((await shrink(SEED, setting, failing)).without).toEqual(small.without);
    },
    SHRINKING_MS_MAX,
  );

  it('is run again, and made smaller, by a command that means the same', () => {
    const setting: Setting = { ...settingOf(NAME), keys: 'model', signatures: 'fast', dishonest: 'one' };
    const away: Setting = { ...SETTING, keys: 'model', crashes: 'cancel-50', instead: 'bus-away' };
    for (const each of [SETTING, { ...SETTING, keys: 'model', crashes: 'cancel-50' } as const, away, setting]) {
      const [, given = ''] = commandOf(SEED, each).split('npm run simulate -- ');
      expect(parseWanted(given.split(' '))).toEqual({ kind: 'one', seed: SEED, setting: each });
    }
    expect(commandOf(SEED, setting)).toBe(
      `npm run simulate -- --seed ${SEED} --signatures fast --dishonest one --mutant no-sweep`,
    );
  });
});

describe('npm run simulate', () => {
  it('says what is wrong with its arguments', () => {
    expect(parseWanted(['--seeds', 'x'])).toMatchObject({ kind: 'wrong' });
    expect(parseWanted(['--mutant', 'nobody'])).toMatchObject({ kind: 'wrong' });
    expect(parseWanted(['--what'])).toMatchObject({ kind: 'wrong' });
    expect(parseWanted(['--seed', '4'])).toMatchObject({ kind: 'one', seed: 4 });
    expect(parseWanted([])).toMatchObject({ kind: 'many', seeds: 100, from: 1, setting: { keys: 'real', signatures: 'full' } });
    expect(parseWanted(['--signatures', 'fast'])).toMatchObject({ setting: { keys: 'model', signatures: 'fast' } });
    expect(parseWanted(['--signatures', 'none'])).toMatchObject({ kind: 'wrong' });
    expect(parseWanted(['--crashes', 'all'])).toMatchObject({ kind: 'crashes' });
    expect(parseWanted(['--crashes', 'none'])).toMatchObject({ kind: 'wrong' });
    expect(parseWanted(['--crashes', 'move'])).toMatchObject({ kind: 'crashes', insteads: ['no'], every: 1 });
    expect(parseWanted(['--crashes', 'move', '--instead', 'bus-new', '--every', '7'])).toMatchObject({
      stories: ['move'],
      insteads: ['bus-new'],
      every: 7,
    });
    for (const given of [
      ['--instead', 'bus-new'],
      ['--crashes', 'move', '--instead', 'none'],
      ['--every', 'x'],
    ])
      expect(parseWanted(given)).toMatchObject({ kind: 'wrong' });
  });
});

describe('its parts', () => {
  it('draw the same numbers from the same seed', () => {
    const draw = (seed: number, stream: number) => Buffer.from(seeded(seed, stream).bytes(16)).toString('hex');
    expect(draw(1, 0)).toBe(draw(1, 0));
    expect(new Set([draw(1, 0), draw(1, 1), draw(2, 0), draw(2, 1)]).size).toBe(4);
  });

  it('say PostgreSQL’s words in SQLite’s', () => {
    expect(translated('select least("a", $1) from "t" where "b" = $2 for update')).toBe(
      'select min("a", ?1) from "t" where "b" = ?2',
    );
  });
});
