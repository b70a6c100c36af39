import { copyFile, mkdir, mkdtemp, open, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { timestamp } from '@carnet/events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ImageStore, openImageStore } from './image-store.ts';
import { codeOf, value } from './testing/fixture.ts';
import { QCOW2_FILE_BYTES, qcow2 } from './testing/headers.ts';

let dir = '';
let file = '';
let store: ImageStore;
const now = () => timestamp.parse('2026-01-02T03:04:05.678Z');
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'carnet-store-'));
  file = join(dir, 'base.qcow2');
  await writeFile(file, qcow2());
  await truncate(file, QCOW2_FILE_BYTES);
  store = value(await openImageStore({ dir: join(dir, 'store'), now }));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function change(path: string, at: number): Promise<void> {
  const handle = await open(path, 'r+');
  await handle.write(Buffer.of(0x55), 0, 1, at);
  await handle.close();
}

test('registered, listed, shown, verified, cloned', async () => {
  const record = value(await store.register({ name: 'debian-12', file }));
  expect(record).toMatchObject({ name: 'debian-12', created: now(), sizeBytes: QCOW2_FILE_BYTES, virtualBytes: 67_108_864 });
  expect(value(await store.list())).toEqual([record]);
  expect(value(await store.show('debian-12'))).toEqual(record);
  expect(value(await store.verify('debian-12'))).toEqual(record);
  expect(value(await store.openForClone('debian-12'))).toEqual({ file: join(dir, 'store', 'debian-12', 'image.qcow2'), record });
});

test('the same again is the same image; other content needs another name', async () => {
  const both = await Promise.all([store.register({ name: 'base', file }), store.register({ name: 'base', file })]);
  expect(value(both[0])).toEqual(value(both[1]));
  await change(file, 2_000_000);
  expect(codeOf(await store.register({ name: 'base', file }))).toBe('IMAGE_NAME_TAKEN');
  expect(codeOf(await store.register({ name: 'base-2', file }))).toBe('ok');
  expect((await readdir(join(dir, 'store'))).sort()).toEqual(['base', 'base-2']);
});

test('what the guard refuses is not registered, and leaves nothing', async () => {
  await change(file, 63);
  expect(codeOf(await store.register({ name: 'snapshots', file }))).toBe('QCOW2_SNAPSHOTS');
  expect(codeOf(await store.register({ name: 'absent', file: join(dir, 'absent') }))).toBe('FILE_MISSING');
  expect(codeOf(await store.register({ name: 'stopped', file, signal: AbortSignal.abort() }))).not.toBe('ok');
  expect(await readdir(join(dir, 'store'))).toEqual([]);
});

test.each(['', '.', '..', '../base', 'a/b', 'UPPER', '-x', 'x'.repeat(65), '.new-abc', 'a\0b'])('the name %j', async (name) => {
  expect(codeOf(await store.register({ name, file }))).toBe('IMAGE_NAME');
  expect(codeOf(await store.show(name))).toBe('IMAGE_NAME');
});

test('a changed image is noticed: its content by verify, its key slots before every clone', async () => {
  value(await store.register({ name: 'base', file }));
  const image = join(dir, 'store', 'base', 'image.qcow2');
  await change(image, 0x40000 + 4_096 + 5);
  expect(codeOf(await store.verify('base'))).toBe('CONTENT_MISMATCH');
  expect(codeOf(await store.openForClone('base'))).toBe('CONTENT_MISMATCH');
  await writeFile(join(dir, 'store', 'base', 'record.json'), '{"name":"base"}');
  expect(codeOf(await store.show('base'))).toBe('IMAGE_RECORD');
  expect(codeOf(await store.show('other'))).toBe('IMAGE_UNKNOWN');
});

test('made in its place: judged like a copy, and nothing stays of what was not made whole', async () => {
  const made = value(await store.registerMade({ name: 'made', make: (path) => copyFile(file, path) }));
  expect(value(await store.verify('made'))).toEqual(made);
  expect(codeOf(await store.registerMade({ name: 'plain', make: (path) => writeFile(path, 'plain') }))).toMatch(
    /^(QCOW2|IMAGE)_/,
  );
  await expect(store.registerMade({ name: 'broken', make: () => Promise.reject(new Error('no')) })).rejects.toThrow('no');
  expect(codeOf(await store.registerMade({ name: 'empty', make: async () => undefined }))).toBe('FILE_MISSING');
  expect(await readdir(join(dir, 'store'))).toEqual(['made']);
  expect(await store.room()).toBeGreaterThan(0);
});

test('what a crash left of a registration goes when the store is opened', async () => {
  await mkdir(join(dir, 'store', '.new-123'));
  value(await openImageStore({ dir: join(dir, 'store'), now }));
  expect(await readdir(join(dir, 'store'))).toEqual([]);
});
