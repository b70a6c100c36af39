import { abortion, armDeadline, type EarlyEnd } from './deadline.ts';
import { LibvirtError } from './error.ts';
import { CALLS_IN_FLIGHT_MAX, CALLS_QUEUED_MAX } from './limits.ts';
import { type Header, MessageStatus, MessageType, PROGRAM_VERSION } from './message.ts';
import { readRemoteError } from './remote-error.ts';
import type { XdrReader } from './xdr-reader.ts';

export type CallRequest<T> = {
  /** For messages. */
  readonly name: string;
  readonly program: number;
  readonly procedure: number;
  readonly payload: Uint8Array;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Runs while the reply is dispatched, before any later packet: what it registers misses nothing. */
  readonly read: (reader: XdrReader, serial: number) => T;
  /** The call succeeded after its caller had been told otherwise: undo what must not stay. */
  readonly onLate?: (value: T) => void;
  /** Passes the queue: for ending work that fills it. */
  readonly urgent?: 'urgent';
};

type OpenCall = {
  readonly request: Omit<CallRequest<unknown>, 'onLate'>;
  readonly answer: (reader: XdrReader, serial: number) => void;
  readonly fail: (error: LibvirtError) => void;
  abandoned: boolean;
};

/** Calls by serial: those sent, and those waiting so that no more than the daemon's allowance are. */
export class CallTable {
  readonly #send: (header: Header, payload: Uint8Array) => void;
  readonly #sent = new Map<number, OpenCall>();
  #waiting: OpenCall[] = [];
  #serial = 0;
  #ended: LibvirtError | undefined;

  constructor(send: (header: Header, payload: Uint8Array) => void) {
    this.#send = send;
  }

  run<T>(request: CallRequest<T>): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(lost(this.#ended, request.name, 'none'));
    if (this.#waiting.length >= CALLS_QUEUED_MAX) {
      return Promise.reject(new LibvirtError('QUEUE_FULL', `${request.name}: ${CALLS_QUEUED_MAX} calls wait already`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    // Aborted before it began: nothing is written at all.
    if (request.signal?.aborted === true) {
      reject(early(abortion(request.signal.reason), request.name, 'none'));
      return promise;
    }
    const disarm = armDeadline(request.timeoutMs, request.signal, (end) => this.#giveUp(call, end));
    const call: OpenCall = {
      request,
      abandoned: false,
      answer: (reader, serial) => {
        const value = request.read(reader, serial);
        reader.end();
        disarm();
        if (call.abandoned) request.onLate?.(value);
        else resolve(value);
      },
      fail: (error) => {
        disarm();
        reject(error);
      },
    };
    if (request.urgent === 'urgent') this.#dispatch(call);
    else this.#waiting.push(call);
    this.#fill();
    return promise;
  }

  /** Settles the call of that serial. Throws when the reply breaks the protocol. */
  reply(header: Header, reader: XdrReader): void {
    const call = this.#sent.get(header.serial);
    if (call === undefined || call.request.procedure !== header.procedure || call.request.program !== header.program) {
      throw new LibvirtError('PROTOCOL_VIOLATION', `a reply to no call of ours (serial ${header.serial})`, { effect: 'unknown' });
    }
    if (header.status === MessageStatus.OK) call.answer(reader, header.serial);
    else if (header.status === MessageStatus.ERROR) call.fail(readRemoteError(reader, call.request.name));
    else throw new LibvirtError('PROTOCOL_VIOLATION', `a reply with status ${header.status}`, { effect: 'unknown' });
    this.#sent.delete(header.serial);
    this.#fill();
  }

  /** The connection is over: every call, sent or waiting, now or later, fails with this reason. */
  end(reason: LibvirtError): void {
    this.#ended = reason;
    const [sent, waiting] = [[...this.#sent.values()], this.#waiting];
    this.#sent.clear();
    this.#waiting = [];
    for (const call of sent) call.fail(lost(reason, call.request.name, 'unknown'));
    for (const call of waiting) call.fail(lost(reason, call.request.name, 'none'));
  }

  #fill(): void {
    while (this.#sent.size < CALLS_IN_FLIGHT_MAX) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#dispatch(next);
    }
  }

  #dispatch(call: OpenCall): void {
    const serial = this.#freeSerial();
    this.#sent.set(serial, call);
    const { program, procedure, payload } = call.request;
    const header = { program, version: PROGRAM_VERSION, procedure, type: MessageType.CALL, serial, status: MessageStatus.OK };
    this.#send(header, payload);
  }

  /** A sent call keeps its place until the daemon answers: the daemon still counts it as well. */
  #giveUp(call: OpenCall, end: EarlyEnd): void {
    const at = this.#waiting.indexOf(call);
    if (at !== -1) this.#waiting.splice(at, 1);
    const effect = at === -1 ? 'unknown' : 'none';
    call.abandoned = true;
    call.fail(early(end, call.request.name, effect));
  }

  #freeSerial(): number {
    do this.#serial = (this.#serial % 0xffff_ffff) + 1;
    while (this.#sent.has(this.#serial));
    return this.#serial;
  }
}

function lost(reason: LibvirtError, name: string, effect: 'none' | 'unknown'): LibvirtError {
  return new LibvirtError(reason.code, `${name}: the connection is over`, { effect, cause: reason });
}

function early(end: EarlyEnd, name: string, effect: 'none' | 'unknown'): LibvirtError {
  return new LibvirtError(end.code, `${name}: ${end.message}`, { effect, cause: end.cause });
}
