import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SEGMENT_BYTES } from './limits.ts';
import { settle } from './outcome.ts';
import { openStream, sealStream } from './sealed-stream.ts';
import { openStateFile, sealStateFile } from './state-file.ts';
import { codeOf, content, value } from './testing/fixture.ts';

const KEY = createHash('sha256').update('a test key').digest();
const CONTEXT = Buffer.from('csp-a.example/vm epoch 3 memory');
const HEAD = 44;
const SEALED_SEGMENT = SEGMENT_BYTES + 16;
let salts = 0;
const random = (bytes: number): Buffer => Buffer.alloc(bytes, ++salts);

async function* inBlocks(bytes: Uint8Array, blockBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += blockBytes) yield bytes.subarray(at, at + blockBytes);
}
async function gather(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const blocks: Buffer[] = [];
  for await (const block of stream) blocks.push(block);
  return Buffer.concat(blocks);
}
const sealed = (bytes: Buffer, salt = random): Promise<Buffer> =>
  gather(sealStream(inBlocks(bytes, 100_000), { key: KEY, context: CONTEXT, random: salt }));
const opened = (bytes: Buffer, key = KEY, context: Uint8Array = CONTEXT): Promise<string> =>
  settle(() => gather(openStream(inBlocks(bytes, 70_001), { key, context }))).then(codeOf);

const PLAIN = content(SEGMENT_BYTES * 3 + 12_345);
const segments = (bytes: Buffer): Buffer[] =>
  Array.from({ length: 4 }, (_, index) => bytes.subarray(HEAD + index * SEALED_SEGMENT, HEAD + (index + 1) * SEALED_SEGMENT));

test.each([
  0,
  1,
  SEGMENT_BYTES - 1,
  SEGMENT_BYTES,
  SEGMENT_BYTES + 1,
  SEGMENT_BYTES * 2,
  PLAIN.length,
])('%i bytes come back', async (length) => {
  const plain = PLAIN.subarray(0, length);
  const file = await sealed(plain);
  expect((await gather(openStream(inBlocks(file, 99_999), { key: KEY, context: CONTEXT }))).equals(plain)).toBe(true);
  expect(file.length).toBe(HEAD + length + 16 * Math.max(1, Math.ceil(length / SEGMENT_BYTES)));
});

test('the format does not change: a golden stream', async () => {
  const file = await sealed(Buffer.from('Carnet'), (bytes) => Buffer.alloc(bytes, 0x42));
  expect(file.toString('hex')).toMatchInlineSnapshot(
    `"4341524e455453310004000042424242424242424242424242424242424242424242424242424242424242424d0769031d4e88dc802f65b25751ea9ea92e062ef16c"`,
  );
});

test('no two streams share keys, and no plaintext is in one', async () => {
  const zeros = Buffer.alloc(100_000);
  const [one, two] = [await sealed(zeros), await sealed(zeros)];
  expect(one.subarray(HEAD).equals(two.subarray(HEAD))).toBe(false);
  expect(one.includes(Buffer.alloc(16))).toBe(false);
});

test('cut, extended, reordered, doubled, dropped: refused', async () => {
  const file = await sealed(PLAIN);
  const head = file.subarray(0, HEAD);
  const [a, b, c, d] = segments(file);
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error('four segments');
  const bad = [
    [head],
    [head, a],
    [head, a, b, c],
    [head, a, b, c, d.subarray(0, -1)],
    [head, b, a, c, d],
    [head, a, c, d],
    [head, a, a, b, c, d],
    [head, a, b, c, d, d],
    [head, a, b, c, d, Buffer.alloc(1)],
    [head, a, b, c, d, Buffer.alloc(16)],
    [head, d],
    [head, a, b, d],
  ];
  for (const parts of bad) expect(await opened(Buffer.concat(parts))).toBe('STREAM_NOT_AUTHENTIC');
  expect(await opened(file.subarray(0, HEAD - 1))).toBe('STREAM_MALFORMED');
  expect(await opened(Buffer.alloc(0))).toBe('STREAM_MALFORMED');
  expect(await opened(file)).toBe('ok');
});

test('segments of another stream of the same key are strangers', async () => {
  const [one, two] = [await sealed(PLAIN), await sealed(PLAIN)];
  const mixed = Buffer.from(one);
  two.copy(mixed, HEAD, HEAD, HEAD + SEALED_SEGMENT);
  expect(await opened(mixed)).toBe('STREAM_NOT_AUTHENTIC');
});

test('another key, another context, no key', async () => {
  const file = await sealed(PLAIN);
  expect(await opened(file, Buffer.alloc(32, 1))).toBe('STREAM_NOT_AUTHENTIC');
  expect(await opened(file, KEY, Buffer.from('epoch 4'))).toBe('STREAM_NOT_AUTHENTIC');
  expect(await opened(file, KEY.subarray(1))).toBe('KEY_LENGTH');
});

test('any changed bit is noticed', async () => {
  const file = await sealed(PLAIN.subarray(0, SEGMENT_BYTES + 500));
  await fc.assert(
    fc.asyncProperty(fc.nat(file.length - 1), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
      const changed = Buffer.from(file);
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << bit), at);
      expect(await opened(changed)).toMatch(/^STREAM_/);
    }),
    { numRuns: 60 },
  );
});

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'carnet-state-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test('state files: whole or not there', async () => {
  const at = (name: string): string => join(dir, name);
  await writeFile(at('state'), PLAIN);
  const keys = { key: KEY, context: CONTEXT };
  expect(value(await sealStateFile({ ...keys, random, from: at('state'), into: at('sealed') })).bytes).toBe(
    HEAD + PLAIN.length + 4 * 16,
  );
  expect(value(await openStateFile({ ...keys, from: at('sealed'), into: at('back') })).bytes).toBe(PLAIN.length);
  expect((await readFile(at('back'))).equals(PLAIN)).toBe(true);
  await writeFile(at('cut'), (await readFile(at('sealed'))).subarray(0, HEAD + SEALED_SEGMENT * 2));
  expect(codeOf(await openStateFile({ ...keys, from: at('cut'), into: at('never') }))).toBe('STREAM_NOT_AUTHENTIC');
  expect(codeOf(await sealStateFile({ ...keys, random, from: at('absent'), into: at('never') }))).toBe('FILE_MISSING');
  expect(
    codeOf(await sealStateFile({ ...keys, random, from: at('state'), into: at('never'), signal: AbortSignal.abort() })),
  ).toBe('ABORTED');
  expect((await readdir(dir)).sort()).toEqual(['back', 'cut', 'sealed', 'state']);
});
