import { spawnSync } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { headOfKept, type KeptEvent, openHeadFile } from './head-file.ts';
import { filesIn } from './head-file-disk.ts';
import { eventLine, markLine, readLines } from './kept-lines.ts';
import { chainOf, endOf } from './testing/chain.ts';
import { B, removeTemporaryDirs, temporaryDir } from './testing/world.ts';

afterAll(removeTemporaryDirs);

const CHAIN = chainOf(40);
const NAME = 'csp-b_example.head';
const upTo = (seq: number): readonly KeptEvent[] => CHAIN.slice(0, seq);
const at = (seq: number) => endOf(CHAIN[seq - 1]);
const textOf = (told: number, events: readonly KeptEvent[]): Buffer =>
  Buffer.concat([markLine(at(told)), ...events.map(eventLine)]);

/** Another replica, that keeps one event. */
const KEEPS = `
  const { openHeadFile } = await import(${JSON.stringify(new URL('./head-file.ts', import.meta.url).href)});
  const [, dir, text] = process.argv;
  const event = JSON.parse(text);
  const file = await openHeadFile(dir, ${JSON.stringify(B)});
  const kept = file.keep([{ ...event, envelope: Buffer.from(event.envelope, 'base64') }], null);
  console.log(await kept.then(() => 'kept', (cause) => 'refused: ' + cause.message));
`;

describe('a head file', () => {
  it('keeps where the ledger ends and the events that led there, in any order of telling, and never goes back', async () => {
    const dir = temporaryDir();
    const file = await openHeadFile(dir, B);
    expect(await file.read()).toMatchObject({ told: null, events: [] });
    await Promise.all([3, 1, 5, 2, 4].map((n) => file.keep(upTo(n), at(n))));
    expect(await file.read()).toMatchObject({ told: at(5), events: upTo(5) });
    await file.keep(upTo(2), at(2));
    await file.covered(at(3));
    const again = await openHeadFile(dir, B);
    expect(headOfKept(await again.read())).toEqual(at(5));
    expect([again.known(), again.told()]).toEqual([at(5), at(5)]);
    expect(readdirSync(dir)).toEqual([NAME]);
  });

  it('of an earlier version is read, and goes on with the events from then on', async () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, NAME), JSON.stringify(at(7)));
    const file = await openHeadFile(dir, B);
    expect(await file.read()).toMatchObject({ told: at(7), events: [] });
    await file.keep(CHAIN.slice(7, 9), at(9));
    expect(await (await openHeadFile(dir, B)).read()).toMatchObject({ told: at(9), events: CHAIN.slice(7, 9) });
  });

  it('of an earlier version, which noted what was not to be told yet, is read without those notes', async () => {
    const dir = temporaryDir();
    const note = Buffer.from(`${JSON.stringify({ held: must(CHAIN[2]).digest })}\n`);
    writeFileSync(join(dir, NAME), Buffer.concat([textOf(2, upTo(2)), note, ...CHAIN.slice(2, 4).map(eventLine)]));
    const file = await openHeadFile(dir, B);
    expect(await file.read()).toMatchObject({ told: at(2), events: upTo(4) });
    await file.keep(upTo(5), at(5));
    expect(await (await openHeadFile(dir, B)).read()).toMatchObject({ told: at(5), events: upTo(5) });
  });

  it('with nothing but covered events is what an earlier version reads', async () => {
    const dir = temporaryDir();
    const file = await openHeadFile(dir, B);
    await file.keep([], at(7));
    expect(JSON.parse(readFileSync(join(dir, NAME), 'utf8'))).toEqual(at(7));
  });

  it('is written anew after so many marks, and says as much as before', async () => {
    const dir = temporaryDir();
    const file = await openHeadFile(dir, B, 'relied', { marksMax: 3 });
    const sizes: number[] = [];
    for (let seq = 1; seq <= 9; seq += 1) {
      await file.keep([], at(seq));
      sizes.push(readFileSync(join(dir, 'csp-b_example.relied'), 'utf8').split('\n').length - 1);
    }
    expect(sizes).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    expect(await (await openHeadFile(dir, B, 'relied')).read()).toMatchObject({ told: at(9), events: [] });
    expect(readdirSync(dir)).toEqual(['csp-b_example.relied']);
  });

  it('is written anew once the peer holds enough of it, and keeps what the peer does not hold, and the newest of what it does', async () => {
    const dir = temporaryDir();
    const bytes = (from: number, to: number) => CHAIN.slice(from, to).reduce((sum, { envelope }) => sum + envelope.length, 0);
    const file = await openHeadFile(dir, B, 'head', { coveredBytesMax: bytes(0, 20) });
    for (const event of CHAIN) await file.keep([event], endOf(event));
    await file.covered(at(19));
    expect((await file.read()).events).toEqual(CHAIN);
    await file.covered(at(20));
    const gone = CHAIN.findIndex((_, n) => bytes(0, n) >= bytes(0, 20) / 2);
    expect(await file.read()).toMatchObject({ told: at(40), events: CHAIN.slice(gone) });
    expect(gone).toBeLessThan(20);
    await file.covered(at(gone + 19));
    expect((await file.read()).events).toEqual(CHAIN.slice(gone));
    expect(readdirSync(dir)).toEqual([NAME]);
  });

  it.each([
    ['no head', Buffer.from('half a he')],
    ['nothing', Buffer.alloc(0)],
    ['a line that is none', Buffer.concat([textOf(3, upTo(3)), Buffer.from('{"seq":"4"}\n')])],
    ['a note of nothing', Buffer.concat([textOf(3, upTo(3)), Buffer.from('{"held":"4"}\n')])],
    [
      'an event whose bytes were changed',
      Buffer.from(
        textOf(3, upTo(3))
          .toString()
          .replace(/"sig":"..../, '"sig":"AAAA'),
      ),
    ],
    [
      'a mark that names another event',
      Buffer.concat([markLine({ ...must(at(3)), digest: must(at(2)).digest }), eventLine(must(CHAIN[2]))]),
    ],
  ])('that holds %s is broken, never guessed', async (_, text) => {
    const dir = temporaryDir();
    writeFileSync(join(dir, NAME), text);
    await expect((await openHeadFile(dir, B)).read()).rejects.toMatchObject({ code: 'HEAD_FILE_BROKEN' });
    await expect((await openHeadFile(dir, B)).keep(upTo(1), at(1))).rejects.toMatchObject({ code: 'HEAD_FILE_BROKEN' });
    expect(readFileSync(join(dir, NAME))).toEqual(Buffer.from(text));
  });

  it('that cannot be written refuses, and takes the next once it can', async () => {
    const dir = join(temporaryDir(), 'heads');
    const file = await openHeadFile(dir, B);
    await file.keep(upTo(1), at(1));
    renameSync(dir, `${dir}.away`);
    await expect(file.keep(upTo(2), at(2))).rejects.toThrow();
    expect(file.known()).toEqual(at(1));
    renameSync(`${dir}.away`, dir);
    await file.keep(upTo(3), at(3));
    expect(await file.read()).toMatchObject({ told: at(3), events: upTo(3) });
  });
});

function must<T>(value: T | undefined | null): T {
  if (value === undefined || value === null) throw new Error('expected a value');
  return value;
}

describe('whatever happens to a head file', () => {
  it('a power loss in the middle of a write takes nothing that was written before, and the next write mends it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(10),
        fc.integer({ min: 1, max: 10 }),
        fc.nat(),
        fc.boolean(),
        async (before, more, cut, unwritten) => {
          const dir = temporaryDir();
          const path = join(dir, NAME);
          const file = await openHeadFile(dir, B);
          await file.keep(upTo(before), at(before));
          await file.keep(upTo(before + 1), null);
          const safe = readFileSync(path).length;
          await file.keep(upTo(before + 1 + more), at(before + 1 + more));
          const whole = readFileSync(path).length;
          truncateSync(path, safe + (cut % (whole - safe)));
          // Some file systems show the length of what was never written.
          if (unwritten) appendFileSync(path, Buffer.alloc(1 + (cut % 5_000)));
          const after = await openHeadFile(dir, B);
          const kept = await after.read();
          expect(kept.events.slice(0, before + 1)).toEqual(upTo(before + 1));
          await after.keep(upTo(before + 1 + more), at(before + 1 + more));
          expect(await (await openHeadFile(dir, B)).read()).toMatchObject({
            told: at(before + 1 + more),
            events: upTo(before + 1 + more),
          });
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  it('replicas that share a directory lose nothing of each other, however their writes fall', async () => {
    // Each replica appends what its turn brings; two others write the file anew whenever they can.
    const turns = fc.array(fc.nat(2), { minLength: CHAIN.length, maxLength: CHAIN.length });
    await fc.assert(
      fc.asyncProperty(turns, async (whose) => {
        const dir = temporaryDir();
        const files = await Promise.all([0, 1, 2].map(() => openHeadFile(dir, B, 'head', { coveredBytesMax: 1 })));
        let told = 0;
        const appends = async (): Promise<void> => {
          for (const [i, who] of whose.entries()) {
            await files[who]?.keep(CHAIN.slice(i, i + 1), null);
            told = i + 1;
          }
        };
        const rewrites = async (): Promise<void> => {
          const file = await openHeadFile(dir, B, 'head', { coveredBytesMax: 1 });
          for (let done = 0; told < CHAIN.length; done = told) {
            while (done === told && told < CHAIN.length) await new Promise(setImmediate);
            await file.read();
            await file.covered(at(Math.max(1, told - 5)));
          }
        };
        await Promise.all([appends(), rewrites(), rewrites()]);
        const kept = await (await openHeadFile(dir, B)).read();
        expect(kept.events.slice(-5)).toEqual(CHAIN.slice(-5));
        expect(headOfKept(kept)).toEqual(at(CHAIN.length));
      }),
      { numRuns: 8 },
    );
  }, 60_000);

  it('a full disk that took a part of a line costs the other replica nothing', async () => {
    const dir = temporaryDir();
    const other = await openHeadFile(dir, B);
    let seq = 1;
    await other.keep(upTo(seq), at(seq));
    const path = join(dir, NAME);
    const kibibytes = (more: number): number => Math.floor((statSync(path).size + more) / 1_024);
    while (kibibytes(eventLine(must(CHAIN[seq])).length) === kibibytes(0)) {
      seq += 1;
      await other.keep(upTo(seq), at(seq));
    }
    const before = statSync(path).size;
    const next = must(CHAIN[seq]);
    const given = JSON.stringify({ ...next, envelope: Buffer.from(next.envelope).toString('base64') });
    // A file that may not grow beyond a limit takes as much as fits, as one on a full disk does.
    const limited = `trap '' XFSZ; ulimit -f ${kibibytes(eventLine(next).length)}; exec "$@"`;
    const child = spawnSync('bash', [
      '-c',
      limited,
      'bash',
      process.execPath,
      '--input-type=module',
      '--eval',
      KEEPS,
      dir,
      given,
    ]);
    expect(child.stdout.toString()).toMatch(/^refused: only \d+ of/);
    await other.keep(upTo(seq + 2), at(seq + 2));
    expect(await (await openHeadFile(dir, B)).read()).toMatchObject({ told: at(seq + 2), events: upTo(seq + 2) });
    expect(statSync(path).size).toBeGreaterThan(before);
    expect(readdirSync(dir)).toEqual([NAME]);
  });

  it('what was appended to a file that another replica takes away meanwhile does not count as written', async () => {
    const dir = temporaryDir();
    await (await openHeadFile(dir, B)).keep(upTo(1), at(1));
    const files = filesIn(dir, NAME);
    const lines = Buffer.concat(CHAIN.slice(1, 2).map(eventLine));
    let looks = 0;
    // Its length is asked for once the file is open.
    Object.defineProperty(lines, 'length', {
      get: () => {
        looks += 1;
        if (looks === 1) renameSync(join(dir, NAME), join(dir, `${NAME}.x.old`));
        return lines.byteLength;
      },
    });
    expect(await files.append(lines)).toBe(false);
    expect(looks).toBeGreaterThan(0);
    expect(await files.append(lines)).toBe(false);
    expect((await files.read()).whole).toBe(false);
  });

  it('its text says the same in any order of its lines, and in any number of files', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(39), { maxLength: 12 }), fc.nat(40), fc.nat(12), (seqs, told, split) => {
        const events = seqs.flatMap((n) => CHAIN[n] ?? []);
        const [one, two] = [events.slice(0, split), events.slice(split)];
        const read = readLines([textOf(told, one), textOf(0, two)]);
        return (
          read?.whole === true &&
          Number(read.told?.seq ?? 0) === told &&
          read.events.map(({ seq }) => seq).join() ===
            seqs
              .map((n) => n + 1)
              .sort((a, b) => a - b)
              .join()
        );
      }),
    );
  });

  it('is total on hostile bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => ['object', 'undefined'].includes(typeof readLines([bytes]))),
    );
  });
});
