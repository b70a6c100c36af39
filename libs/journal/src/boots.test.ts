import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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

it('Linux says which boot this is', async () => {
  expect(await bootId()).toMatch(/^[0-9a-f-]{36}$/);
  expect(await bootId()).toBe(await bootId());
});
