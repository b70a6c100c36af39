import { createHash } from 'node:crypto';
import { open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { artifactId, digest, migrationId } from '@carnet/events';
import { afterEach, expect, test } from 'vitest';
import { monotonicClock } from './clock.ts';
import type { ServedTransfer } from './grant.ts';
import { type DataState, dataState, decodeKeptMap, encodeKeptMap, type KeptMap } from './kept-map.ts';
import { contextOf, manifestHead, manifestTree } from './manifest.ts';
import { pullArtifact } from './pull.ts';
import { type Bench, CHUNK, codeOf, content, MIGRATION, SOURCE, STRANGER, served, value } from './testing/fixture.ts';
import { verifyArtifact } from './verify.ts';

let bench: Bench | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});
const begin = async (...how: Parameters<typeof served>): Promise<Bench> => {
  bench = await served(...how);
  return bench;
};
/** What is in the folder beside the source's own two files. */
const leftAt = async (at: Bench): Promise<readonly string[]> =>
  (await readdir(at.dir)).filter((name) => !name.startsWith('image'));

/** 40 chunks; the middle is a hole, the last chunk is short. */
const IMAGE = Buffer.concat([content(CHUNK * 15), Buffer.alloc(CHUNK * 10), content(CHUNK * 14 + 777, 9)]);

test('an artifact arrives whole, sparse, with its manifest, and the receiver says so', async () => {
  const transfers: ServedTransfer[] = [];
  const seen: number[] = [];
  const at = await begin(IMAGE, { onTransfer: (transfer) => transfers.push(transfer) });
  const pulled = value(
    await pullArtifact({ ...at.request, onProgress: ({ bytes, totalBytes }) => seen.push(bytes / totalBytes) }),
  );
  expect(pulled).toMatchObject({ receivedBytes: IMAGE.length - CHUNK * 10, keptBytes: 0, dataBytes: IMAGE.length - CHUNK * 10 });
  expect((await readFile(at.into)).equals(IMAGE)).toBe(true);
  expect((await stat(at.into)).blocks * 512).toBeLessThan(IMAGE.length - CHUNK * 8);
  expect(seen.at(-1)).toBe(1);
  expect(await leftAt(at)).toEqual(['received', 'received.manifest']);
  expect(codeOf(await verifyArtifact(at.into, at.request.expect, at.request.of))).toBe('ok');
  await expect
    .poll(() => transfers)
    .toMatchObject([{ outcome: 'complete', sentBytes: IMAGE.length - CHUNK * 10, migration: MIGRATION }]);
});

test.each([4_096, 65_536, 1_048_576, 4_194_304])('chunks of %i bytes', async (chunkBytes) => {
  const bytes = content(3_000_001);
  const at = await begin(bytes, { chunkBytes });
  value(await pullArtifact(at.request));
  expect((await readFile(at.into)).equals(bytes)).toBe(true);
});

test('a repeated call finds the artifact in its place; another file there is not touched', async () => {
  const at = await begin(IMAGE);
  value(await pullArtifact(at.request));
  expect(value(await pullArtifact(at.request))).toMatchObject({ receivedBytes: 0, keptBytes: IMAGE.length - CHUNK * 10 });
  const file = await open(at.into, 'r+');
  await file.write(Buffer.of(0xff, 0xfe), 0, 2, CHUNK * 3);
  await file.close();
  expect(codeOf(await pullArtifact(at.request))).toBe('CONTENT_MISMATCH');
  const other = { ...at.request, into: `${at.into}-2` };
  await writeFile(other.into, 'mine');
  expect(codeOf(await pullArtifact(other))).toBe('TARGET_EXISTS');
  expect(await readFile(other.into, 'utf8')).toBe('mine');
});

/** Stops a pull once so many bytes have been written. */
async function interrupted(at: Bench, afterBytes: number): Promise<string> {
  const stop = new AbortController();
  const onProgress = ({ bytes }: { readonly bytes: number }): void => {
    if (bytes >= afterBytes) stop.abort();
  };
  let nowMs = 0;
  const clock = { nowMs: () => (nowMs += 1_000), sleep: monotonicClock.sleep }; // each look is a second later: every chunk is reported
  return codeOf(await pullArtifact({ ...at.request, signal: stop.signal, onProgress, clock }));
}

/** The state of what a stopped transfer left. */
async function stateOf(at: Bench): Promise<DataState> {
  const file = await open(`${at.into}.receiving/data`);
  try {
    return await dataState(file);
  } finally {
    await file.close();
  }
}

test('a stopped transfer resumes with all that it has', async () => {
  const bytes = content(CHUNK * 400);
  const at = await begin(bytes);
  expect(await interrupted(at, CHUNK * 100)).toBe('ABORTED');
  expect(await leftAt(at)).toEqual(['received.receiving']);
  expect((await readdir(`${at.into}.receiving`)).sort()).toEqual(['chunks', 'data', 'manifest']);
  // Nothing was still on its way to the file when the map was made of it.
  expect(decodeKeptMap(await readFile(`${at.into}.receiving/chunks`))?.state).toEqual(await stateOf(at));
  const { keptBytes, receivedBytes } = value(await pullArtifact(at.request));
  expect(keptBytes).toBeGreaterThanOrEqual(CHUNK * 100);
  expect(keptBytes + receivedBytes).toBe(bytes.length);
  expect((await readFile(at.into)).equals(bytes)).toBe(true);
});

/** Writes over a chunk that was kept, and gives the state that the file has then. */
async function spoilKept(at: Bench, index: number): Promise<DataState> {
  const file = await open(`${at.into}.receiving/data`, 'r+');
  await file.write(Buffer.alloc(CHUNK, 7), 0, CHUNK, CHUNK * index);
  const state = await dataState(file);
  await file.close();
  return state;
}

/** Changes what the map of a stopped transfer says. */
async function rewriteKept(at: Bench, change: (map: KeptMap) => KeptMap): Promise<void> {
  const path = `${at.into}.receiving/chunks`;
  const map = decodeKeptMap(await readFile(path));
  if (map === undefined) throw new Error('expected a whole map');
  await writeFile(path, encodeKeptMap(change(map)));
}

test('what was kept is hashed again when anything has written to it: a spoilt chunk travels again', async () => {
  const bytes = content(CHUNK * 400);
  const at = await begin(bytes);
  await interrupted(at, CHUNK * 100);
  await spoilKept(at, 5);
  await rewriteKept(at, (map) => ({ ...map, held: Buffer.alloc(50, 0xff) })); // and it claims everything
  const { keptBytes, receivedBytes } = value(await pullArtifact(at.request));
  expect(keptBytes + receivedBytes).toBe(bytes.length);
  expect(keptBytes).toBeGreaterThanOrEqual(CHUNK * 99);
  expect(receivedBytes).toBeGreaterThanOrEqual(CHUNK);
  expect((await readFile(at.into)).equals(bytes)).toBe(true);
});

test.each<readonly [string, (map: KeptMap, now: DataState) => KeptMap]>([
  ['another boot', (map, now) => ({ ...map, state: { ...now, boot: 'another' } })],
  ['a kernel that names no boot', (map, now) => ({ ...map, state: { ...now, boot: null } })],
  ['another file', (map, now) => ({ ...map, state: { ...now, inode: '1' } })],
  ['another size', (map, now) => ({ ...map, state: { ...now, sizeBytes: '1' } })],
])('a map of %s is hashed again', async (_, change) => {
  const bytes = content(CHUNK * 400);
  const at = await begin(bytes);
  await interrupted(at, CHUNK * 100);
  const now = await spoilKept(at, 5);
  await rewriteKept(at, (map) => change(map, now));
  expect(value(await pullArtifact(at.request)).keptBytes).toBeGreaterThanOrEqual(CHUNK * 99);
  expect((await readFile(at.into)).equals(bytes)).toBe(true);
});

test('an unchanged file is not read again: only one who can set its change time could spoil it unseen', async () => {
  const at = await begin(content(CHUNK * 400));
  await interrupted(at, CHUNK * 100);
  const now = await spoilKept(at, 5);
  await rewriteKept(at, (map) => ({ ...map, state: now }));
  value(await pullArtifact(at.request));
  expect(codeOf(await verifyArtifact(at.into, at.request.expect, at.request.of))).toBe('CONTENT_MISMATCH');
});

test.each<readonly [string, (bytes: Buffer) => Buffer]>([
  ['cut', (bytes) => bytes.subarray(0, -1)],
  ['with a flipped bit', (bytes) => Buffer.from(bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 0x80 : byte)))],
  ['empty', () => Buffer.alloc(0)],
  ['of another root', (bytes) => otherRoot(bytes)],
])('a map that is %s claims nothing', async (_, spoil) => {
  const bytes = content(CHUNK * 400);
  const at = await begin(bytes);
  await interrupted(at, CHUNK * 100);
  const path = `${at.into}.receiving/chunks`;
  await writeFile(path, spoil(await readFile(path)));
  expect(value(await pullArtifact(at.request))).toMatchObject({ keptBytes: 0, receivedBytes: bytes.length });
  expect((await readFile(at.into)).equals(bytes)).toBe(true);
});

function otherRoot(bytes: Buffer): Buffer {
  const map = decodeKeptMap(bytes);
  if (map === undefined) throw new Error('expected a whole map');
  return encodeKeptMap({ ...map, root: SOURCE.leaf });
}

test('what was kept of another round is forgotten, also where the new one has holes', async () => {
  const at = await begin(content(CHUNK * 400));
  await interrupted(at, CHUNK * 100);
  const next = await served(Buffer.concat([Buffer.alloc(CHUNK * 200), content(CHUNK * 200, 5)]));
  value(await pullArtifact({ ...next.request, into: at.into }));
  expect((await readFile(at.into)).equals(await readFile(next.image))).toBe(true);
  await next.close();
});

test('two transfers into one path: the second is refused', async () => {
  const at = await begin(IMAGE);
  const first = pullArtifact(at.request);
  expect(codeOf(await pullArtifact(at.request))).toBe('BUSY');
  value(await first);
});

test('the peers must be the ones that were agreed', async () => {
  const at = await begin(IMAGE);
  expect(codeOf(await pullArtifact({ ...at.request, pinnedLeaf: STRANGER.leaf }))).toBe('PEER_NOT_PINNED');
  expect(codeOf(await pullArtifact({ ...at.request, tls: STRANGER.tls }))).toBe('NOT_GRANTED');
  expect(codeOf(await pullArtifact({ ...at.request, verifyPeer: () => ({ ok: false, code: 'REVOKED' }) }))).toBe(
    'TLS_NOT_TRUSTED',
  );
  expect(codeOf(await pullArtifact({ ...at.request, tls: { ...at.request.tls, ca: [] } }))).toBe('TLS_NOT_TRUSTED');
  expect(codeOf(await pullArtifact({ ...at.request, endpoint: { ...at.request.endpoint, serverName: 'other.example' } }))).toBe(
    'TLS_NOT_TRUSTED',
  );
  expect(await leftAt(at)).toEqual([]);
});

test('a server that distrusts the client refuses it', async () => {
  const at = await begin(IMAGE, { verifyPeer: async () => ({ ok: false }) });
  expect(codeOf(await pullArtifact(at.request))).toBe('SOURCE_FAILED');
});

test('only what was granted is served: migration, artifact, root', async () => {
  const at = await begin(IMAGE);
  const { request } = at;
  const otherMigration = migrationId.parse('01890000-0000-7000-8000-000000000001');
  const otherArtifact = artifactId.parse('6b1f0c9e-0000-4000-8000-000000000003');
  expect(codeOf(await pullArtifact({ ...request, migration: otherMigration }))).toBe('NOT_GRANTED');
  expect(codeOf(await pullArtifact({ ...request, expect: { ...request.expect, root: SOURCE.leaf } }))).toBe('NOT_GRANTED');
  expect(codeOf(await pullArtifact({ ...request, expect: { ...request.expect, artifact: otherArtifact } }))).toBe('NOT_GRANTED');
  expect(await leftAt(at)).toEqual([]);
});

test('a manifest of another epoch does not lead to the signed root', async () => {
  const at = await begin(IMAGE);
  expect(codeOf(await pullArtifact({ ...at.request, of: { ...at.request.of, round: 1 } }))).toBe('ROOT_MISMATCH');
  expect(await leftAt(at)).toEqual([]);
});

test('a source file that changed is not served', async () => {
  const at = await begin(IMAGE);
  await truncate(at.image, IMAGE.length + 1);
  expect(codeOf(await pullArtifact(at.request))).toBe('SOURCE_CHANGED');
  const same = Buffer.from(IMAGE);
  same.fill(1, CHUNK * 2, CHUNK * 3);
  await writeFile(at.image, same);
  expect(codeOf(await pullArtifact(at.request))).toBe('CHUNK_HASH');
  expect(await leftAt(at)).toEqual([]);
});

test('an image that the guard refuses never appears', async () => {
  const at = await begin(IMAGE);
  const admit = async (): Promise<{
    readonly ok: false;
    readonly code: 'QCOW2_MAGIC';
    readonly text: string;
    readonly retryable: false;
  }> => ({ ok: false, code: 'QCOW2_MAGIC', text: '', retryable: false });
  expect(codeOf(await pullArtifact({ ...at.request, admit }))).toBe('QCOW2_MAGIC');
  expect(await leftAt(at)).toEqual([]);
});

test('a rate limit slows the receiver down, in pauses of the clock', async () => {
  const bytes = content(CHUNK * 64);
  const at = await begin(bytes);
  const slept: number[] = [];
  const clock = { nowMs: () => 0, sleep: async (ms: number) => void slept.push(ms) };
  value(await pullArtifact({ ...at.request, rateBytesPerSecond: CHUNK * 16, clock }));
  expect(slept.length).toBeGreaterThan(40); // the clock stands still: every chunk after the first second's is paid for
  expect((await readFile(at.into)).equals(bytes)).toBe(true);
});

test('nobody is there', async () => {
  const at = await begin(IMAGE);
  await at.serving.close();
  const refusal = await pullArtifact(at.request);
  expect(refusal).toMatchObject({ ok: false, code: 'LINK_REFUSED', retryable: true });
});

test('a disk without room is told before the first chunk travels', async () => {
  const at = await begin(content(CHUNK));
  const sealed = { ...at.request.expect, sizeBytes: 2 ** 40, chunkBytes: 16_777_216 };
  const context = contextOf(sealed, at.request.of);
  const tree = manifestTree(context);
  const digests = Array.from({ length: 2 ** 16 }, (_, index) => createHash('sha256').update(String(index)).digest());
  for (const chunk of digests) tree.add(chunk);
  await writeFile(`${at.image}.huge`, Buffer.concat([manifestHead(context), ...digests]));
  await truncate(at.image, sealed.sizeBytes);
  const root = digest.parse(tree.root().toString('hex'));
  const huge = { ...sealed, root };
  Object.assign(at.grant, { artifacts: [{ sealed: huge, of: at.request.of, file: at.image, manifest: `${at.image}.huge` }] });
  expect(codeOf(await pullArtifact({ ...at.request, expect: huge }))).toBe('DISK_FULL');
  expect(await leftAt(at)).toEqual([]);
}, 30_000);
