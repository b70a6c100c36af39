import type { Socket } from 'node:net';
import { type CallRequest, CallTable } from './call-table.ts';
import type { CallOptions } from './deadline.ts';
import { LibvirtError } from './error.ts';
import { Framer } from './framer.ts';
import { Keepalive, type KeepaliveOptions } from './keepalive.ts';
import { CALL_MS_DEFAULT, LONG_CALL_MS_DEFAULT } from './limits.ts';
import { encodePacket, type Header, MessageType, Program, readHeader } from './message.ts';
import type { Procedure } from './procedure.ts';
import { XdrReader } from './xdr-reader.ts';
import { XdrWriter } from './xdr-writer.ts';

export type ChannelOptions = {
  /** Default for quick calls. */
  readonly callTimeoutMs?: number;
  /** Default for save, restore, migrate and their like. */
  readonly longCallTimeoutMs?: number;
  readonly keepalive?: KeepaliveOptions | 'off';
};

/** Takes the stream packets of one serial. */
export type StreamPort = {
  readonly packet: (header: Header, reader: XdrReader) => void;
  readonly lost: (reason: LibvirtError) => void;
};

/** One socket to one daemon: calls out, replies, notices and stream packets in, until it ends once. */
export class Channel {
  readonly #socket: Socket;
  readonly #options: ChannelOptions;
  readonly #calls: CallTable;
  readonly #framer = new Framer();
  readonly #keepalive: Keepalive | undefined;
  readonly #streams = new Map<number, StreamPort>();
  readonly #noticeReaders = new Map<number, (reader: XdrReader) => void>();
  readonly #ended = Promise.withResolvers<LibvirtError>();
  #end: LibvirtError | undefined;
  #holds = 0;
  /** Pending while the socket has no room; one for all who wait. */
  #drained: Promise<void> | undefined;

  constructor(socket: Socket, options: ChannelOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#calls = new CallTable((header, payload) => this.#write(header, payload));
    if (options.keepalive !== 'off') {
      const silent = (ms: number): void => this.fail(new LibvirtError('KEEPALIVE_TIMEOUT', `the daemon was silent for ${ms} ms`));
      this.#keepalive = new Keepalive(options.keepalive ?? {}, (header) => this.#ping(header), silent);
    }
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('error', (cause) => this.fail(new LibvirtError('CONNECTION_LOST', 'the socket failed', { cause })));
    const closed = (): void => this.fail(new LibvirtError('CONNECTION_LOST', 'the daemon closed the connection'));
    socket.on('close', closed);
    if (socket.destroyed) closed();
    socket.resume();
  }

  /** Settles, once, with the reason for the end. */
  get ended(): Promise<LibvirtError> {
    return this.#ended.promise;
  }

  async call<Args extends readonly unknown[], Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options: CallOptions & Pick<CallRequest<Result>, 'onLate' | 'urgent'> = {},
  ): Promise<Result> {
    return this.open(procedure, args, procedure.read, options);
  }

  /** As `call`, with the serial for whoever continues on it (streams). */
  async open<Args extends readonly unknown[], Result, Opened>(
    procedure: Procedure<Args, Result>,
    args: Args,
    read: (reader: XdrReader, serial: number) => Opened,
    options: CallOptions & Pick<CallRequest<Opened>, 'onLate' | 'urgent'> = {},
  ): Promise<Opened> {
    const writer = new XdrWriter();
    const { signal, timeoutMs = this.#timeoutMs(procedure.pace), ...rest } = options;
    try {
      procedure.write(writer, ...args);
      return await this.#calls.run({
        name: procedure.name,
        program: procedure.program,
        procedure: procedure.number,
        payload: writer.bytes(),
        timeoutMs,
        signal,
        read,
        ...rest,
      });
    } finally {
      // A call that settled was sent, or left the queue and never will be.
      writer.wipe();
    }
  }

  /** Sends a stream packet; settles when the socket has room for the next: that is the back-pressure. */
  async send(header: Header, payload: Uint8Array): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    if (this.#write(header, payload)) return;
    this.#drained ??= this.#drain();
    await this.#drained;
  }

  attachStream(serial: number, port: StreamPort): void {
    this.#streams.set(serial, port);
  }

  detachStream(serial: number): void {
    this.#streams.delete(serial);
  }

  /** Fails every stream, and so reads again what a slow consumer had stopped. */
  endStreams(reason: LibvirtError): void {
    for (const port of this.#streams.values()) port.lost(reason);
    this.#streams.clear();
  }

  /** Who reads the notices of one procedure. The others of the daemon are ignored. */
  onNotice(procedure: number, read: (reader: XdrReader) => void): void {
    this.#noticeReaders.set(procedure, read);
  }

  /** Stops reading the socket until the returned function is called: a consumer is behind. */
  hold(): () => void {
    this.#holds += 1;
    this.#socket.pause();
    return () => {
      this.#holds -= 1;
      if (this.#holds === 0) this.#socket.resume();
    };
  }

  /** Ends the channel with that reason; every open call rejects. Later ends change nothing. */
  fail(reason: LibvirtError): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#keepalive?.stop();
    this.#socket.destroy();
    this.#calls.end(reason);
    this.endStreams(reason);
    this.#ended.resolve(reason);
  }

  /** Listeners, not a race with `ended`: a terabyte of chunks must not leave a reaction each on one promise. */
  #drain(): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        this.#socket.off('drain', go).off('close', go);
        this.#drained = undefined;
        resolve();
      };
      this.#socket.on('drain', go).on('close', go);
    });
  }

  #timeoutMs(pace: 'quick' | 'long'): number {
    return pace === 'quick'
      ? (this.#options.callTimeoutMs ?? CALL_MS_DEFAULT)
      : (this.#options.longCallTimeoutMs ?? LONG_CALL_MS_DEFAULT);
  }

  #ping(header: Header): void {
    // While we do not read, the daemon's silence is our own doing.
    if (this.#holds > 0) this.#keepalive?.alive();
    else this.#write(header, new Uint8Array());
  }

  /**
   * The packet is ours alone and may carry the value of a secret: it is overwritten once the socket is through with it. The process
   * lives for months, and what the collector has freed stays in its memory, for a core dump or a careless read to find.
   */
  #write(header: Header, payload: Uint8Array): boolean {
    const packet = encodePacket(header, payload);
    return this.#socket.write(packet, () => packet.fill(0));
  }

  #received(chunk: Buffer): void {
    this.#keepalive?.alive();
    try {
      for (const packet of this.#framer.push(chunk)) {
        if (this.#end !== undefined) return;
        this.#dispatch(packet);
      }
    } catch (cause) {
      // A peer that breaks the protocol once cannot be understood afterwards: cut it off.
      this.fail(cause instanceof LibvirtError ? cause : new LibvirtError('PROTOCOL_VIOLATION', 'unreadable packet', { cause }));
    }
  }

  #dispatch(packet: Buffer): void {
    const reader = new XdrReader(packet);
    const header = readHeader(reader);
    if (header.program === Program.KEEPALIVE) {
      this.#keepalive?.received(header);
      return;
    }
    switch (header.type) {
      case MessageType.REPLY:
        this.#calls.reply(header, reader);
        return;
      case MessageType.MESSAGE:
        if (header.program === Program.REMOTE) this.#noticeReaders.get(header.procedure)?.(reader);
        return;
      case MessageType.STREAM:
        // Packets of a stream that we just aborted are still under way and mean nothing any more.
        this.#streams.get(header.serial)?.packet(header, reader);
        return;
      default:
        throw new LibvirtError('PROTOCOL_VIOLATION', `a packet of type ${header.type}`, { effect: 'unknown' });
    }
  }
}
