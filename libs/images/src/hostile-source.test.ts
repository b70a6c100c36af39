import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { encodeFrame, encodeHead, FRAME_HEAD_BYTES } from './frame.ts';
import { TLS_RULES } from './peer.ts';
import { type PullRequest, pullArtifact } from './pull.ts';
import { CHUNK, codeOf, content, SOURCE, served, TARGET } from './testing/fixture.ts';

const IMAGE = content(CHUNK * 6);
const DIGEST_BYTES = 32;

/** What a source sends on each request of an honest receiver. */
interface Script {
  readonly onOpen?: (socket: TLSSocket) => void;
  readonly onDigests?: (socket: TLSSocket, digests: Buffer) => void;
  readonly onWant?: (socket: TLSSocket, chunk: (index: number) => Buffer) => void;
  readonly stallMs?: number;
}

const frame = (kind: 'chunk' | 'digests', index: number, payload: Uint8Array): Buffer =>
  Buffer.concat([encodeHead(kind, index, payload.length), payload]);
const chunkFrame = (index: number): Buffer => frame('chunk', index, IMAGE.subarray(index * CHUNK, (index + 1) * CHUNK));
const accepted = (socket: TLSSocket): void => void socket.write(encodeFrame('accepted', 0));
const sendDigests = (socket: TLSSocket, digests: Buffer): void => void socket.write(frame('digests', 0, digests));

/** Pulls from a source that follows a script, and says what came of it and what was left. */
async function pullFrom(script: Script): Promise<{ readonly code: string; readonly left: readonly string[] }> {
  const honest = await served(IMAGE);
  const manifest = await readFile(`${honest.image}.manifest`);
  const digests = manifest.subarray(manifest.length - 6 * DIGEST_BYTES);
  const dir = await mkdtemp(join(tmpdir(), 'carnet-hostile-'));
  const sockets = new Set<TLSSocket>();
  const server = createServer({ ...SOURCE.tls, ...TLS_RULES }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    let rest = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= FRAME_HEAD_BYTES && rest.length >= FRAME_HEAD_BYTES + rest.readUInt32BE(8)) {
        const kind = rest.readUInt8(0);
        rest = rest.subarray(FRAME_HEAD_BYTES + rest.readUInt32BE(8));
        if (kind === 1) (script.onOpen ?? accepted)(socket);
        if (kind === 2) (script.onDigests ?? sendDigests)(socket, digests);
        if (kind === 3) script.onWant?.(socket, chunkFrame);
        if (kind === 4) socket.write(encodeFrame('bye', 0));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  const request: PullRequest = {
    ...honest.request,
    tls: TARGET.tls,
    endpoint: { ...honest.request.endpoint, port },
    into: join(dir, 'in'),
    stallMs: script.stallMs ?? 3_000,
  };
  const code = codeOf(await pullArtifact(request));
  const left = await readdir(dir);
  for (const socket of sockets) socket.destroy();
  server.close();
  await honest.close();
  await rm(dir, { recursive: true, force: true });
  return { code, left };
}

const all = (socket: TLSSocket, order: readonly number[]): void => order.forEach((index) => void socket.write(chunkFrame(index)));
const head = (kind: number, flags: number, length: number): Buffer => {
  const bytes = Buffer.alloc(FRAME_HEAD_BYTES);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt8(flags, 1);
  bytes.writeUInt32BE(length, 8);
  return bytes;
};

test('the harness itself: an honest script succeeds', async () => {
  expect(await pullFrom({ onWant: (socket) => all(socket, [0, 1, 2, 3, 4, 5]) })).toEqual({
    code: 'ok',
    left: ['in', 'in.manifest'],
  });
});

const bad = Buffer.alloc(CHUNK, 1);
const refusals: readonly (readonly [string, string, Script])[] = [
  ['chunks out of order', 'CHUNK_SKIPPED', { onWant: (socket) => all(socket, [0, 2, 1, 3, 4, 5]) }],
  ['a missing chunk', 'CHUNK_SKIPPED', { onWant: (socket) => all(socket, [0, 1, 3, 4, 5]) }],
  ['a repeated chunk', 'CHUNK_REPEATED', { onWant: (socket) => all(socket, [0, 1, 1, 2, 3, 4, 5]) }],
  ['an extra chunk', 'CHUNK_EXTRA', { onWant: (socket) => all(socket, [0, 1, 2, 3, 4, 5, 5]) }],
  ['a chunk beyond the image', 'CHUNK_SKIPPED', { onWant: (socket) => all(socket, [0, 9_000]) }],
  ['other bytes', 'CHUNK_HASH', { onWant: (socket) => socket.write(Buffer.concat([chunkFrame(0), frame('chunk', 1, bad)])) }],
  ['a chunk that is too short', 'CHUNK_LENGTH', { onWant: (socket) => socket.write(frame('chunk', 0, bad.subarray(1))) }],
  ['a chunk of 4 GiB', 'CHUNK_LENGTH', { onWant: (socket) => socket.write(encodeHead('chunk', 0, 0xffff_ffff)) }],
  ['an unknown frame', 'FRAME_MALFORMED', { onWant: (socket) => socket.write(head(99, 0, 0)) }],
  ['flags', 'FRAME_MALFORMED', { onWant: (socket) => socket.write(head(20, 1, CHUNK)) }],
  ['a frame only receivers send', 'FRAME_UNEXPECTED', { onWant: (socket) => socket.write(head(3, 0, 4)) }],
  ['digests instead of chunks', 'FRAME_UNEXPECTED', { onWant: (socket) => socket.write(frame('digests', 0, Buffer.alloc(32))) }],
  ['a chunk instead of an answer', 'FRAME_UNEXPECTED', { onOpen: (socket) => socket.write(chunkFrame(0)) }],
  [
    'a frame nobody asked for',
    'FRAME_UNEXPECTED',
    { onOpen: (socket) => socket.write(Buffer.concat([encodeFrame('accepted', 0), encodeFrame('accepted', 0)])) },
  ],
  ['oversized digests', 'FRAME_OVERSIZED', { onDigests: (socket) => socket.write(head(19, 0, 65_568)) }],
  ['more digests than chunks', 'FRAME_OVERSIZED', { onDigests: (socket) => socket.write(head(19, 0, 7 * 32)) }],
  ['half a digest', 'FRAME_OVERSIZED', { onDigests: (socket) => socket.write(head(19, 0, 33)) }],
  ['digests from elsewhere', 'FRAME_UNEXPECTED', { onDigests: (socket) => socket.write(frame('digests', 3, Buffer.alloc(32))) }],
  [
    'digests of something else',
    'ROOT_MISMATCH',
    { onDigests: (socket, digests) => socket.write(frame('digests', 0, Buffer.alloc(digests.length, 1))) },
  ],
  ['an oversized refusal', 'FRAME_OVERSIZED', { onOpen: (socket) => socket.write(head(18, 0, 4_096)) }],
  [
    'a refusal with text of its own',
    'FRAME_MALFORMED',
    { onOpen: (socket) => socket.write(encodeFrame('refused', 0, Buffer.from('\x1b[2Jpwned'))) },
  ],
  ['a known refusal', 'NOT_GRANTED', { onOpen: (socket) => socket.write(encodeFrame('refused', 0, Buffer.from('NOT_GRANTED'))) }],
];
test.each(refusals)('%s: %s, and nothing is left', async (_, code, script) => {
  expect(await pullFrom(script)).toEqual({ code, left: [] });
});

const accidents: readonly (readonly [string, string, Script])[] = [
  ['an early end', 'LINK_LOST', { onWant: (socket) => socket.end(chunkFrame(0)) }],
  ['a broken connection', 'LINK_LOST', { onOpen: (socket) => socket.destroy() }],
  ['silence', 'LINK_STALLED', { stallMs: 200, onWant: () => undefined }],
  ['an endless trickle', 'LINK_STALLED', { stallMs: 400, onWant: trickle }],
];
test.each(accidents)('%s: %s', async (_, code, script) => {
  const outcome = await pullFrom(script);
  expect(outcome.code).toBe(code);
  expect([[], ['in.receiving']]).toContainEqual(outcome.left); // what came is kept, if it was written before the end
});

/** A byte every 20 ms: never silent, never done. */
function trickle(socket: TLSSocket): void {
  const bytes = chunkFrame(0);
  let at = 0;
  const timer = setInterval(() => socket.write(bytes.subarray(at, ++at)), 20);
  socket.once('close', () => clearInterval(timer));
}
