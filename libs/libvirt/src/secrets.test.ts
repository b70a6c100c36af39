import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, type MockInstance, vi } from 'vitest';
import { Channel } from './channel.ts';
import { LibvirtError } from './error.ts';
import { CALLS_IN_FLIGHT_MAX } from './limits.ts';
import { encodePacket, type Header, MessageStatus, MessageType, Program, readHeader } from './message.ts';
import { done, quick } from './procedure.ts';
import { secrets } from './secrets.ts';
import { XdrReader } from './xdr-reader.ts';
import { XdrWriter } from './xdr-writer.ts';

// The value of a secret opens a disk. Neither of the two buffers it passes through on its way out may keep it: this process lives for months.

const SECRET = { uuid: '44444444-4444-4444-8444-444444444444', usageType: 'volume', usageId: '/disk' } as const;
const secretOf = (bytes: number): Buffer => Buffer.alloc(bytes, 0xa5);
const STREAM: Header = { program: Program.REMOTE, version: 1, procedure: 208, type: MessageType.STREAM, serial: 9, status: 2 };
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** A socket of no kernel: what is written waits in it until the test lets it go. */
class HeldSocket extends net.Socket {
  readonly written: { readonly packet: Buffer; readonly letGo: () => void }[] = [];
  override _write(packet: Buffer, _: BufferEncoding, letGo: () => void): void {
    this.written.push({ packet, letGo });
  }
}

/** Every payload that was encoded, as the channel holds it. */
let encoded: MockInstance<() => Buffer>;
const payloads = (): readonly Buffer[] => encoded.mock.results.map(({ value }) => value);
beforeEach(() => {
  encoded = vi.spyOn(XdrWriter.prototype, 'bytes');
});
afterEach(() => {
  encoded.mockRestore();
});

it.each([
  0, 32, 200, 65_536,
])('a value of %i bytes is sent whole, and is nowhere once it was written and answered', async (bytes) => {
  const socket = new HeldSocket();
  const channel = new Channel(socket, { keepalive: 'off' });
  const answered = secrets(channel).setValue(SECRET, secretOf(bytes));
  const [sent] = socket.written;
  if (sent === undefined) throw new Error('sent at once');
  const reader = new XdrReader(sent.packet.subarray(4));
  const header = readHeader(reader);
  expect([reader.uuid(), reader.int(), reader.string()]).toEqual([SECRET.uuid, 1, SECRET.usageId]);
  expect(secretOf(bytes).equals(reader.opaque(65_536))).toBe(true);
  expect(reader.uint()).toBe(0);
  reader.end();
  expect(sent.packet.buffer.byteLength).toBe(sent.packet.length); // not a part of memory that others are given parts of

  sent.letGo();
  expect(isZero(sent.packet)).toBe(true);
  socket.emit('data', encodePacket({ ...header, type: MessageType.REPLY, status: MessageStatus.OK }, new Uint8Array()));
  await answered;
  expect(payloads().map(isZero)).toEqual([true]);
  channel.fail(new LibvirtError('CONNECTION_CLOSED', 'the test is over'));
});

it('a value whose call was given up before it was sent', async () => {
  const channel = new Channel(new HeldSocket(), { keepalive: 'off' });
  const { list, setValue } = secrets(channel);
  const open = Promise.allSettled(Array.from({ length: CALLS_IN_FLIGHT_MAX }, () => list()));
  await expect(setValue(SECRET, secretOf(32), { timeoutMs: 5 })).rejects.toMatchObject({ code: 'CALL_TIMEOUT', effect: 'none' });
  await expect(setValue(SECRET, secretOf(32), { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CALL_ABORTED' });
  const waiting = setValue(SECRET, secretOf(32));
  channel.fail(new LibvirtError('CONNECTION_LOST', 'gone'));
  await expect(waiting).rejects.toMatchObject({ code: 'CONNECTION_LOST', effect: 'none' });
  await expect(setValue(SECRET, secretOf(32))).rejects.toMatchObject({ code: 'CONNECTION_LOST', effect: 'none' });
  await open;
  expect(payloads().map(isZero)).toEqual(Array.from({ length: CALLS_IN_FLIGHT_MAX + 4 }, () => true));
});

it('an argument that is refused after the value was written', async () => {
  const channel = new Channel(new HeldSocket(), { keepalive: 'off' });
  const writers: XdrWriter[] = [];
  const write = (writer: XdrWriter): void => {
    writers.push(writer);
    writer.opaque(secretOf(32), 32).string('a\0b');
  };
  await expect(channel.call(quick(144, 'broken', write, done), [])).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
  expect(writers.map((writer) => isZero(writer.bytes()))).toEqual([true]);
});

it('a value on a connection that ends while the daemon does not read', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lv-secrets-'));
  const deaf = net.createServer({ pauseOnConnect: true });
  const peers: net.Socket[] = [];
  deaf.on('connection', (peer) => peers.push(peer));
  deaf.listen(join(dir, 's'));
  await once(deaf, 'listening');
  const socket = net.connect(join(dir, 's'));
  await once(socket, 'connect');
  const writes = vi.spyOn(socket, 'write');
  const channel = new Channel(socket, { keepalive: 'off' });
  const begun = secrets(channel).setValue(SECRET, secretOf(32));
  const bulk = channel.send(STREAM, secretOf(8_388_608)); // more than the kernel takes
  const behind = secrets(channel).setValue(SECRET, secretOf(32));
  channel.fail(new LibvirtError('CONNECTION_LOST', 'gone'));
  await Promise.allSettled([begun, bulk, behind]);
  const packets = writes.mock.calls.map(([packet]) => packet);
  expect(packets).toHaveLength(3);
  await expect.poll(() => packets.every((packet) => packet instanceof Uint8Array && isZero(packet))).toBe(true);
  expect(payloads().map(isZero)).toEqual([true, true]);
  for (const peer of peers) peer.destroy();
  deaf.close();
  rmSync(dir, { recursive: true });
});

it('memory that a growing argument list leaves behind', () => {
  const writer = new XdrWriter().fixed(secretOf(200));
  const left = writer.bytes();
  const grown = writer.fixed(secretOf(200)).bytes();
  expect([left, grown].map(isZero)).toEqual([true, false]);
  writer.wipe();
  expect(isZero(grown)).toBe(true);
});
