import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeFully, writeWhole } from './files.ts';

/** What an agent that starts removes (libs/hypervisor/src/node-files.ts): the two libs do not know each other, their hosts' disk does. */
const SWEPT = /\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.partial$/;

let dir = '';
let file = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'carnet-files-'));
  file = join(dir, 'vm.save');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('a draft has a name that is swept away when the agent dies before it is whole', async () => {
  await writeWhole(file, async (handle, beside) => {
    await writeFully(handle, Buffer.from('memory'), 0);
    expect(await readdir(dir)).toEqual([basename(beside)]);
    expect(beside.startsWith(`${file}.`)).toBe(true);
    expect(beside).toMatch(SWEPT);
    expect((await stat(beside)).mode & 0o777).toBe(0o600);
  });
  expect(await readdir(dir)).toEqual(['vm.save']);
});

test('a draft whose writing failed is gone at once; what it would have replaced stays', async () => {
  await writeFile(file, 'before');
  const failing = writeWhole(file, async (handle) => {
    await writeFully(handle, Buffer.from('memory'), 0);
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(await readdir(dir)).toEqual(['vm.save']);
  expect(await readFile(file, 'utf8')).toBe('before');
});

test('each writing has a draft of its own: no other one, left or under way, is written into or removed', async () => {
  const drafts: string[] = [];
  await writeWhole(file, async (_, left) => {
    drafts.push(left);
    await writeFile(left, 'of a writing before');
    await writeWhole(file, async (handle, beside) => {
      drafts.push(beside);
      await writeFully(handle, Buffer.from('memory'), 0);
    });
    expect(await readFile(left, 'utf8')).toBe('of a writing before');
    expect(await readFile(file, 'utf8')).toBe('memory');
  });
  expect(new Set(drafts).size).toBe(2);
});
