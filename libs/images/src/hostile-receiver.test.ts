import { once } from 'node:events';
import { appendFile } from 'node:fs/promises';
import { connect as connectPlainly } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { migrationId } from '@carnet/events';
import { afterEach, expect, test } from 'vitest';
import { encodeFrame, encodeWant } from './frame.ts';
import type { Grant, ServedTransfer } from './grant.ts';
import { CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX, WANTS_QUEUED_MAX } from './limits.ts';
import { encodeOpen } from './open-request.ts';
import { type Bench, CHUNK, content, MIGRATION, STRANGER, served, TARGET } from './testing/fixture.ts';

let bench: Bench | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

interface Dialled {
  readonly at: Bench;
  readonly dial: (who?: typeof STRANGER) => Promise<TLSSocket>;
  readonly transfers: ServedTransfer[];
  readonly open: Buffer;
}

async function begin(bytes = content(CHUNK * 6), stallMs = 3_000): Promise<Dialled> {
  const transfers: ServedTransfer[] = [];
  const at = await served(bytes, { stallMs, onTransfer: (transfer) => void transfers.push(transfer) });
  bench = at;
  const { address: host, port } = at.serving;
  const dial = (who = TARGET): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = connect({ ...who.tls, host, port, servername: at.request.endpoint.serverName }, () => resolve(socket));
      socket.on('error', reject);
    });
  const open = encodeFrame(
    'open',
    0,
    encodeOpen({ migration: MIGRATION, artifact: at.request.expect.artifact, root: at.request.expect.root }),
  );
  return { at, dial, transfers, open };
}

const cases: readonly (readonly [string, string, (open: Buffer) => Buffer])[] = [
  ['noise', 'FRAME_MALFORMED', () => content(100)],
  ['a want before opening', 'FRAME_UNEXPECTED', () => encodeWant(0, 1)],
  ['an opening that is no JSON', 'OPEN_MALFORMED', () => encodeFrame('open', 0, Buffer.from('{'))],
  [
    'an opening with a key too many',
    'OPEN_MALFORMED',
    (open) => encodeFrame('open', 0, Buffer.from(open.subarray(12).toString().replace('{', '{"x":1,'))),
  ],
  ['an oversized opening', 'FRAME_OVERSIZED', () => encodeFrame('open', 0, Buffer.alloc(4_096, 0x20))],
  ['a second opening', 'FRAME_UNEXPECTED', (open) => Buffer.concat([open, open])],
  ['chunks beyond the end', 'WANT_INVALID', (open) => Buffer.concat([open, encodeWant(5, 2)])],
  ['no chunk', 'WANT_INVALID', (open) => Buffer.concat([open, encodeWant(0, 0)])],
  ['too many chunks at once', 'WANT_INVALID', (open) => Buffer.concat([open, encodeWant(0, 0xffff_ffff)])],
  ['a want without its count', 'WANT_INVALID', (open) => Buffer.concat([open, encodeFrame('want', 0)])],
  ['a frame only sources send', 'FRAME_UNEXPECTED', (open) => Buffer.concat([open, encodeFrame('accepted', 0)])],
  [
    'a flood of wants',
    'WANT_FLOOD',
    (open) => Buffer.concat([open, ...Array.from({ length: WANTS_QUEUED_MAX + 2 }, () => encodeWant(0, 1))]),
  ],
];
test.each(cases)('%s: %s', async (_, code, bytes) => {
  const { dial, transfers, open } = await begin();
  const socket = await dial();
  socket.resume();
  socket.write(bytes(open));
  await expect.poll(() => transfers.map(({ outcome }) => outcome)).toEqual([code]);
  socket.destroy();
});

test('a receiver that says nothing after opening is dropped', async () => {
  const { dial, transfers, open } = await begin(content(CHUNK), 150);
  const socket = await dial();
  socket.resume();
  socket.write(open);
  await expect.poll(() => transfers).toMatchObject([{ outcome: 'LINK_STALLED' }]);
});

test('a receiver that asks and does not read is dropped; no more than its buffers is queued', async () => {
  const { dial, transfers, open } = await begin(content(CHUNK * 2_000), 300);
  const socket = await dial();
  socket.pause();
  socket.write(Buffer.concat([open, encodeWant(0, 2_000)]));
  await expect.poll(() => transfers, { timeout: 5_000 }).toMatchObject([{ outcome: 'LINK_STALLED' }]);
  socket.destroy();
});

test('a file that grows while it is served is an error', async () => {
  const { at, dial, transfers, open } = await begin();
  const socket = await dial();
  socket.resume();
  socket.write(Buffer.concat([open, encodeWant(0, 2)]));
  await expect.poll(() => socket.bytesRead).toBeGreaterThan(CHUNK * 2);
  await appendFile(at.image, 'more');
  socket.write(encodeFrame('bye', 0));
  await expect.poll(() => transfers).toMatchObject([{ outcome: 'SOURCE_CHANGED' }]);
});

test('one peer gets its share of the connections, and strangers cannot take them all', async () => {
  const { dial, transfers, open } = await begin();
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS_PER_PEER_MAX + 1 }, () => dial()));
  for (const socket of sockets) socket.resume().write(open);
  await expect.poll(() => transfers).toMatchObject([{ outcome: 'TOO_MANY_TRANSFERS' }]);
  const more = await Promise.allSettled(Array.from({ length: CONNECTIONS_MAX }, () => dial()));
  expect(more.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(
    CONNECTIONS_MAX - CONNECTIONS_PER_PEER_MAX,
  );
  for (const socket of sockets) socket.destroy();
});

test('a receiver whose grant ends is cut off in the middle; others go on', async () => {
  const transfers: ServedTransfer[] = [];
  let isGranted = true;
  const at = await served(content(CHUNK * 6), {
    stallMs: 20_000,
    grantOf: (migration) => (migration === MIGRATION ? (isGranted ? at.grant : undefined) : others()),
    onTransfer: (transfer) => void transfers.push(transfer),
  });
  bench = at;
  const others = (): Grant => ({ ...at.grant, pinnedLeaf: STRANGER.leaf });
  const { address: host, port } = at.serving;
  const open = async (who: typeof STRANGER, migration: typeof MIGRATION): Promise<TLSSocket> => {
    const socket = connect({ ...who.tls, host, port, servername: at.request.endpoint.serverName });
    await once(socket, 'secureConnect');
    socket.resume();
    const { artifact, root } = at.request.expect;
    socket.write(encodeFrame('open', 0, encodeOpen({ migration, artifact, root })));
    return socket;
  };
  const cut = await open(TARGET, MIGRATION);
  const stays = await open(STRANGER, migrationId.parse(MIGRATION.replace(/0$/, '1')));
  await once(cut, 'data');
  isGranted = false;
  await once(cut, 'close');
  await expect.poll(() => transfers).toMatchObject([{ outcome: 'NOT_GRANTED', peerLeaf: TARGET.leaf }]);
  stays.write(encodeWant(0, 1));
  await once(stays, 'data');
  stays.destroy();
}, 15_000);

test('who connects and says nothing neither keeps the source open when it closes, nor is served after that', async () => {
  const { at } = await begin();
  const silent = connectPlainly({ host: at.serving.address, port: at.serving.port });
  await once(silent, 'connect');
  const gone = once(silent, 'close');
  const late = AbortSignal.timeout(15_000);
  const closed = Promise.race([at.serving.close().then(() => 'closed'), once(late, 'abort').then(() => 'late')]);
  expect(await closed).toBe('closed');
  await gone;
});
