import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bootId, bootsIn } from './boots.ts';
import { A, B, removeTemporaryDirs, temporaryDir } from './testing/world.ts';

afterAll(removeTemporaryDirs);

it('a boot has compared what it says it has, for each peer, and no other boot has', async () => {
  const dir = join(temporaryDir(), 'heads');
  const boots = bootsIn(dir, 'this boot');
  expect(await boots.isCompared(A)).toBe(false);
  await boots.compared(A);
  await boots.compared(A);
  expect([await boots.isCompared(A), await boots.isCompared(B)]).toEqual([true, false]);
  expect(await bootsIn(dir, 'this boot').isCompared(A), 'another process').toBe(true);
  expect(await bootsIn(dir, 'the next').isCompared(A)).toBe(false);
  expect(readdirSync(dir).toSorted()).toEqual(['boots', 'csp-a_example.boot']);
});

it('a folder that is copied back, elsewhere or over itself, is another one; so is a file that says anything else', async () => {
  const dir = temporaryDir();
  const boots = bootsIn(dir, 'this boot');
  await boots.compared(A);
  const back = temporaryDir();
  execFileSync('cp', ['-a', `${dir}/.`, back]);
  expect(await bootsIn(back, 'this boot').isCompared(A)).toBe(false);
  expect(await boots.isCompared(A)).toBe(true);
  execFileSync('cp', ['-a', `${back}/.`, dir]);
  expect(await boots.isCompared(A)).toBe(false);
  await boots.compared(A);
  writeFileSync(join(dir, 'csp-a_example.boot'), 'this boot');
  expect(await boots.isCompared(A)).toBe(false);
});

describe('a head file', () => {
  /** By the next process of this boot. */
  async function isCompared(dir: string): Promise<boolean> {
    const boots = bootsIn(dir, 'this boot');
    await boots.look(A);
    return boots.isCompared(A);
  }
  /** What was told, compared, and told since; and what was kept of it an hour ago. */
  async function told() {
    const dir = temporaryDir();
    const [head, backup] = [join(dir, 'csp-a_example.head'), join(temporaryDir(), 'head')];
    writeFileSync(head, 'told\n');
    await bootsIn(dir, 'this boot').compared(A);
    cpSync(head, backup);
    const anHourAgo = new Date(Date.now() - 3_600_000);
    utimesSync(backup, anHourAgo, anHourAgo);
    appendFileSync(head, 'told since\n');
    return { dir, head, putBack: () => cpSync(backup, head, { preserveTimestamps: true }) };
  }

  it('that goes on says nothing', async () => {
    const { dir } = await told();
    expect(await isCompared(dir)).toBe(true);
  });

  it('that is put back with its time is compared, once', async () => {
    const { dir, putBack } = await told();
    putBack();
    expect(await isCompared(dir)).toBe(false);
    await bootsIn(dir, 'this boot').compared(A);
    expect(await isCompared(dir)).toBe(true);
    putBack();
    expect(await isCompared(dir)).toBe(false);
  });

  it('that was put back is compared also by whoever comes after it was written to, and nothing was compared yet', async () => {
    const { dir, head, putBack } = await told();
    putBack();
    expect(await isCompared(dir)).toBe(false);
    appendFileSync(head, 'what the database has beyond it\n');
    expect(await isCompared(dir)).toBe(false);
  });

  it('that is gone, or was never there, is compared each time', async () => {
    const { dir, head } = await told();
    rmSync(head);
    expect(await isCompared(dir)).toBe(false);
    await bootsIn(dir, 'this boot').compared(A);
    expect(await isCompared(dir)).toBe(false);
  });

  it('from a clock that was set back since is compared', async () => {
    const { dir, head } = await told();
    utimesSync(head, new Date(), new Date(Date.now() + 3_600_000));
    expect(await isCompared(dir)).toBe(false);
  });
});

it('Linux says which boot this is', async () => {
  expect(await bootId()).toMatch(/^[0-9a-f-]{36}$/);
  expect(await bootId()).toBe(await bootId());
});
