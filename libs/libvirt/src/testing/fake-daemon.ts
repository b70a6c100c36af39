import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Framer } from '../framer.ts';
import { type Connection, type ConnectOptions, connect } from '../index.ts';
import { encodePacket, type Header, MessageStatus, MessageType, Program, readHeader } from '../message.ts';
import { XdrReader } from '../xdr-reader.ts';
import { XdrWriter } from '../xdr-writer.ts';

/** What a script may do with the packet it was given. */
export type Answer = {
  reply(header: Header, write?: (w: XdrWriter) => unknown): void;
  send(header: Header, payload?: Uint8Array): void;
  /** Bytes as they are, however wrong. */
  raw(bytes: Uint8Array): void;
  hangUp(): void;
};

/** True when the script took care of the packet; else it is answered as a patient daemon would. */
export type Script = (header: Header, answer: Answer) => boolean;

export type FakeDaemon = AsyncDisposable & {
  /** Every packet that arrived, in order. */
  readonly received: readonly Header[];
  connect(options?: Partial<ConnectOptions>): Promise<Connection>;
};

const OPEN_CALLS: Readonly<Record<number, (w: XdrWriter) => unknown>> = {
  66: (w) => w.uint(1).int(0),
  1: () => undefined,
  2: () => undefined,
  157: (w) => w.uhyper(9_000_000n),
};

/**
 * A scripted daemon, for what a real one does not do on demand: to be silent, to lie, to break off.
 * What libvirt means by its answers is for the contract tests to say.
 */
export async function fakeDaemon(script: Script): Promise<FakeDaemon> {
  const dir = mkdtempSync(join(tmpdir(), 'lv-fake-'));
  const path = join(dir, 's');
  const received: Header[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    const framer = new Framer();
    socket.on('data', (chunk: Buffer) => {
      for (const packet of framer.push(chunk)) {
        const header = readHeader(new XdrReader(packet));
        received.push(header);
        const answer = answerTo(socket);
        const write = header.program === Program.REMOTE ? OPEN_CALLS[header.procedure] : undefined;
        if (!script(header, answer) && write !== undefined) answer.reply(header, write);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    received,
    connect: (options = {}) => connect({ transport: { kind: 'unix', path }, uri: 'test:///default', ...options }),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true });
    },
  };
}

function answerTo(socket: net.Socket): Answer {
  const send = (header: Header, payload: Uint8Array = new Uint8Array()): void => void socket.write(encodePacket(header, payload));
  return {
    reply: (header, write) => {
      const writer = new XdrWriter();
      write?.(writer);
      send({ ...header, type: MessageType.REPLY, status: MessageStatus.OK }, writer.bytes());
    },
    send,
    raw: (bytes) => void socket.write(bytes),
    hangUp: () => void socket.destroy(),
  };
}
