import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
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

it('so is a head file alone that is put back with its time, or that has gone, until it was compared; what is appended to it says nothing', async () => {
  const dir = temporaryDir();
  const [head, backup] = [join(dir, 'csp-a_example.head'), join(temporaryDir(), 'head')];
  /** By the next process of this boot. */
  const isCompared = () => bootsIn(dir, 'this boot').isCompared(A);
  const compared = () => bootsIn(dir, 'this boot').compared(A);
  await compared();
  expect(await isCompared(), 'nothing was ever said').toBe(true);
  writeFileSync(head, 'told\n');
  expect(await isCompared()).toBe(true);
  cpSync(head, backup);
  utimesSync(backup, new Date(), new Date(Date.now() - 3_600_000));
  appendFileSync(head, 'told since\n');
  expect(await isCompared()).toBe(true);

  cpSync(backup, head, { preserveTimestamps: true });
  expect(await isCompared(), 'put back').toBe(false);
  await compared();
  expect(await isCompared(), 'and compared').toBe(true);
  cpSync(backup, head, { preserveTimestamps: true });
  expect(await isCompared(), 'put back again').toBe(false);
  appendFileSync(head, 'told\n');
  expect(await isCompared()).toBe(true);

  cpSync(backup, head, { preserveTimestamps: true });
  const next = bootsIn(dir, 'this boot');
  next.look(A);
  await setTimeout(50);
  appendFileSync(head, 'what the database has beyond it\n');
  expect(await next.isCompared(A), 'looked at before it was written to').toBe(false);
  rmSync(head);
  expect(await isCompared(), 'gone').toBe(false);
});

it('Linux says which boot this is', async () => {
  expect(await bootId()).toMatch(/^[0-9a-f-]{36}$/);
  expect(await bootId()).toBe(await bootId());
});
