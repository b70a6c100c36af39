import { cpSync, readdirSync, writeFileSync } from 'node:fs';
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
  expect(readdirSync(dir), 'no draft stays').toEqual(['csp-a_example.boot']);
});

it('a folder that is copied back is another one; so is a file that says anything else', async () => {
  const dir = temporaryDir();
  await bootsIn(dir, 'this boot').compared(A);
  const back = temporaryDir();
  cpSync(dir, back, { recursive: true, preserveTimestamps: true });
  expect(await bootsIn(back, 'this boot').isCompared(A)).toBe(false);
  writeFileSync(join(dir, 'csp-a_example.boot'), 'this boot');
  expect(await bootsIn(dir, 'this boot').isCompared(A)).toBe(false);
});

it('Linux says which boot this is', async () => {
  expect(await bootId()).toMatch(/^[0-9a-f-]{36}$/);
  expect(await bootId()).toBe(await bootId());
});
