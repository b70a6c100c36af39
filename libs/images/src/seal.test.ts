import { createHash } from 'node:crypto';
import { appendFile, mkdtemp, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { epoch } from '@carnet/events';
import { leafHash, merkleRoot } from '@carnet/trust';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkGrid, usualChunkBytes } from './grid.ts';
import { contextBytes, contextOf, openManifest } from './manifest.ts';
import { settle } from './outcome.ts';
import { seal } from './seal.ts';
import { ARTIFACT, codeOf, content, OF, value } from './testing/fixture.ts';
import { verifyArtifact } from './verify.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'carnet-seal-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));
const put = async (name: string, bytes: Buffer): Promise<string> => {
  await writeFile(join(dir, name), bytes);
  return join(dir, name);
};
const REQUEST = { ...OF, artifact: ARTIFACT, kind: 'disk', chunkBytes: 4_096 } as const;

test('the root is RFC 6962 over the context and the digest of every chunk', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 4_096 }),
      async (holes, tail) => {
        const bytes = Buffer.concat(
          holes.map((hole, index) => (hole ? Buffer.alloc(4_096) : content(4_096, index + 1))),
        ).subarray(0, holes.length * 4_096 - 4_096 + tail);
        const { sealed, chunks } = value(await seal(await put('image', bytes), REQUEST));
        const digests = Array.from({ length: chunks }, (_, index) =>
          createHash('sha256')
            .update(bytes.subarray(index * 4_096, (index + 1) * 4_096))
            .digest(),
        );
        const leaves = [contextBytes(contextOf(sealed, OF)), ...digests].map((leaf) => leafHash(leaf));
        expect(sealed.root).toBe(Buffer.from(merkleRoot(leaves)).toString('hex'));
        expect(codeOf(await verifyArtifact(join(dir, 'image'), sealed, OF))).toBe('ok');
      },
    ),
    { numRuns: 40 },
  );
});

test('holes are found, in sparse files and in files full of zeros alike', async () => {
  const sparse = await open(join(dir, 'sparse'), 'w');
  await sparse.write(content(8_192), 0, 8_192, 1_048_576);
  await sparse.truncate(4_194_304);
  await sparse.close();
  const dense = await put('dense', await readFile(join(dir, 'sparse')));
  const [one, two] = [value(await seal(join(dir, 'sparse'), REQUEST)), value(await seal(dense, REQUEST))];
  expect(one.sealed).toEqual(two.sealed);
  expect(one).toMatchObject({ chunks: 1_024, holes: 1_022, dataBytes: 8_192 });
  expect(two).toMatchObject({ holes: 1_022, dataBytes: 8_192 });
});

test('the same bytes of another epoch, round, artifact, kind or chunk size have another root', async () => {
  const image = await put('same', content(50_000));
  const other = { ...REQUEST, artifact: ARTIFACT };
  const roots = [
    REQUEST,
    { ...other, epoch: epoch.parse(4) },
    { ...other, round: 1 },
    { ...other, kind: 'memory' as const },
    { ...other, chunkBytes: 8_192 },
  ].map(async (request, index) => value(await seal(image, { ...request, manifest: join(dir, `m${index}`) })).sealed.root);
  expect(new Set(await Promise.all(roots)).size).toBe(5);
});

test('a manifest that was touched is not believed', async () => {
  const { sealed, manifest } = value(await seal(await put('touched', content(50_000)), REQUEST));
  const good = await readFile(manifest);
  const reads = (bytes: Buffer): Promise<string> =>
    writeFile(manifest, bytes).then(() => settle(() => openManifest(manifest, contextOf(sealed, OF), sealed.root)).then(codeOf));
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), async (at) => {
      const changed = Buffer.from(good);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x10, at);
      expect(await reads(changed)).toMatch(/^(ROOT_MISMATCH|MANIFEST_MISMATCH)$/);
    }),
    { numRuns: 40 },
  );
  expect(await reads(good.subarray(0, -1))).toBe('MANIFEST_MISMATCH');
  expect(await reads(Buffer.concat([good, Buffer.alloc(32)]))).toBe('MANIFEST_MISMATCH');
  expect(await reads(Buffer.alloc(0))).toBe('MANIFEST_MISMATCH');
});

test('a file that changes while it is sealed, a link, an empty or a missing file', async () => {
  const image = await put('growing', content(4_194_304));
  const outcome = await seal(image, { ...REQUEST, onProgress: (bytes) => void (bytes === 4_096 && appendFile(image, 'x')) });
  expect(codeOf(outcome)).toBe('SOURCE_CHANGED');
  await expect(readFile(`${image}.manifest`)).rejects.toThrow('ENOENT');
  await symlink(image, join(dir, 'link'));
  expect(codeOf(await seal(join(dir, 'link'), REQUEST))).toBe('FILE_UNSUITABLE');
  expect(codeOf(await seal(dir, REQUEST))).toBe('FILE_UNSUITABLE');
  expect(codeOf(await seal(await put('empty', Buffer.alloc(0)), REQUEST))).toBe('ARTIFACT_EMPTY');
  expect(codeOf(await seal(join(dir, 'absent'), REQUEST))).toBe('FILE_MISSING');
  expect(codeOf(await seal(image, { ...REQUEST, signal: AbortSignal.abort() }))).toBe('ABORTED');
});

test('grids that are refused before anything is allocated', () => {
  const bad = [0, 1, 4_095, 12_288, 33_554_432, Number.NaN, -4_096, 2 ** 53].map((chunkBytes) =>
    codeOf(checkGrid({ sizeBytes: 1, chunkBytes })),
  );
  expect(new Set(bad)).toEqual(new Set(['CHUNK_SIZE_UNSUPPORTED']));
  expect(codeOf(checkGrid({ sizeBytes: 2 ** 45, chunkBytes: 4_194_304 }))).toBe('ARTIFACT_TOO_LARGE');
  expect(codeOf(checkGrid({ sizeBytes: 2 ** 40, chunkBytes: 4_096 }))).toBe('ARTIFACT_TOO_LARGE');
  expect([2 ** 30, 2 ** 40, 2 ** 41, 2 ** 44].map(usualChunkBytes)).toEqual([2 ** 20, 2 ** 20, 2 ** 21, 2 ** 24]);
});
