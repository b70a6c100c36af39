import type { Channel } from './channel.ts';
import { armDeadline, type CallOptions } from './deadline.ts';
import { LibvirtError } from './error.ts';
import { DOWNLOAD_BUFFER_BYTES_MAX, STREAM_CHUNK_BYTES_MAX, STREAM_STALL_MS_DEFAULT } from './limits.ts';
import { type Header, MessageStatus, MessageType, PROGRAM_VERSION } from './message.ts';
import type { Procedure } from './procedure.ts';
import { readRemoteError } from './remote-error.ts';
import type { XdrReader } from './xdr-reader.ts';

const NO_BYTES = new Uint8Array();

/** Opens a stream by the call that begins it; a reply after the caller gave up aborts it at the daemon too. */
export function openStream<Args extends readonly unknown[]>(
  channel: Channel,
  procedure: Procedure<Args, void>,
  args: Args,
  options: CallOptions,
): Promise<ClientStream> {
  const opened = (_: XdrReader, serial: number): ClientStream => new ClientStream(channel, procedure, serial, options);
  return channel.open(procedure, args, opened, { ...options, onLate: (stream) => stream.abort() });
}

/**
 * Bytes in one direction after a call, in its serial's own packets: data is CONTINUE, an empty CONTINUE
 * is the daemon's end of file, OK is the end asked for and confirmed, ERROR from either side aborts.
 */
export class ClientStream {
  readonly #channel: Channel;
  readonly #procedure: Procedure<never, void>;
  readonly #serial: number;
  readonly #options: CallOptions;
  readonly #confirmed = Promise.withResolvers<void>();
  #arrived: Uint8Array[] = [];
  #arrivedBytes = 0;
  #endOfData = false;
  #finishing = false;
  #open = true;
  #failure: LibvirtError | undefined;
  /** Rejects the step that is being waited for; there is at most one. */
  #failStep: ((failure: LibvirtError) => void) | undefined;
  #wakeReader: (() => void) | undefined;
  #release: (() => void) | undefined;

  constructor(channel: Channel, procedure: Procedure<never, void>, serial: number, options: CallOptions) {
    this.#channel = channel;
    this.#procedure = procedure;
    this.#serial = serial;
    this.#options = options;
    channel.attachStream(serial, {
      packet: (header, reader) => this.#packet(header, reader),
      lost: (reason) =>
        this.#close(
          new LibvirtError(reason.code, `${procedure.name}: the connection is over`, { effect: 'unknown', cause: reason }),
        ),
    });
  }

  /** Sends bytes, in as many packets as they need; settles when the socket takes more. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += STREAM_CHUNK_BYTES_MAX) {
      await this.#step(this.#write(MessageStatus.CONTINUE, bytes.subarray(at, at + STREAM_CHUNK_BYTES_MAX)));
    }
  }

  /** The next bytes, or undefined at the end of the data. */
  async receive(): Promise<Uint8Array | undefined> {
    if (this.#arrived.length === 0 && !this.#endOfData) {
      await this.#step(new Promise<void>((resolve) => (this.#wakeReader = resolve)));
    }
    if (this.#failure !== undefined) throw this.#failure;
    const next = this.#arrived.shift();
    this.#arrivedBytes -= next?.length ?? 0;
    if (this.#arrivedBytes <= DOWNLOAD_BUFFER_BYTES_MAX / 2) this.#letIn();
    return next;
  }

  /** Says that all was sent or received; settles when the daemon has confirmed: only then is it done. */
  async finish(): Promise<void> {
    this.#letIn();
    this.#finishing = true;
    await this.#step(this.#write(MessageStatus.OK, NO_BYTES));
    await this.#step(this.#confirmed.promise);
  }

  /** Waits for something of the caller's; its time is the caller's, but an abort or a failure here ends the wait. */
  async during<T>(work: Promise<T>): Promise<T> {
    return this.#until(work, undefined);
  }

  /** Tells the daemon to drop it. Does nothing once the stream is over. */
  abort(): void {
    if (!this.#open) return;
    this.#write(MessageStatus.ERROR, NO_BYTES).catch(() => undefined);
    this.#close(new LibvirtError('CALL_ABORTED', `${this.#procedure.name}: stream aborted`, { effect: 'unknown' }));
  }

  #packet(header: Header, reader: XdrReader): void {
    switch (header.status) {
      case MessageStatus.CONTINUE:
        this.#data(reader.rest());
        return;
      case MessageStatus.OK:
        // A confirmation of what we did not ask for would pass a cut-off file as a whole one.
        if (!this.#finishing) throw violation('an unasked end of a stream');
        this.#close(undefined);
        return;
      case MessageStatus.ERROR:
        this.#close(readRemoteError(reader, this.#procedure.name, 'unknown'));
        return;
      default:
        throw violation(`a stream packet with status ${header.status}`);
    }
  }

  #data(bytes: Uint8Array): void {
    if (bytes.length === 0) this.#endOfData = true;
    else {
      this.#arrived.push(bytes);
      this.#arrivedBytes += bytes.length;
      if (this.#arrivedBytes > DOWNLOAD_BUFFER_BYTES_MAX) this.#release ??= this.#channel.hold();
    }
    this.#wakeReader?.();
  }

  #letIn(): void {
    this.#release?.();
    this.#release = undefined;
  }

  #close(failure: LibvirtError | undefined): void {
    if (!this.#open) return;
    this.#open = false;
    this.#channel.detachStream(this.#serial);
    this.#letIn();
    if (failure === undefined) this.#confirmed.resolve();
    else {
      this.#failure = failure;
      this.#failStep?.(failure);
    }
  }

  #write(status: number, payload: Uint8Array): Promise<void> {
    const { program, number } = this.#procedure;
    const header = {
      program,
      version: PROGRAM_VERSION,
      procedure: number,
      type: MessageType.STREAM,
      serial: this.#serial,
      status,
    };
    return this.#channel.send(header, payload);
  }

  #step<T>(work: Promise<T>): Promise<T> {
    return this.#until(work, this.#options.timeoutMs ?? STREAM_STALL_MS_DEFAULT);
  }

  async #until<T>(work: Promise<T>, timeoutMs: number | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const disarm = armDeadline(timeoutMs, this.#options.signal, ({ code, message, cause }) =>
      reject(new LibvirtError(code, `${this.#procedure.name}: ${message}`, { effect: 'unknown', cause })),
    );
    work.then(resolve, reject);
    if (this.#failure === undefined) this.#failStep = reject;
    else reject(this.#failure);
    try {
      return await promise;
    } catch (cause) {
      this.abort();
      throw cause;
    } finally {
      this.#failStep = undefined;
      disarm();
    }
  }
}

function violation(why: string): LibvirtError {
  return new LibvirtError('PROTOCOL_VIOLATION', why, { effect: 'unknown' });
}
