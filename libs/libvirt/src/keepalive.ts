import { KEEPALIVE_COUNT_DEFAULT, KEEPALIVE_INTERVAL_MS_DEFAULT } from './limits.ts';
import { type Header, MessageStatus, MessageType, PROGRAM_VERSION, Program } from './message.ts';

export type KeepaliveOptions = {
  /** Milliseconds between looks. */
  readonly intervalMs?: number;
  /** Silent intervals after which the daemon counts as dead. */
  readonly count?: number;
};

const PING = 1;
const PONG = 2;

/** Asks only a silent daemon: any packet within the interval proves it alive. */
export class Keepalive {
  readonly #timer: NodeJS.Timeout;
  readonly #send: (header: Header) => void;
  #silentIntervals = 0;

  constructor(options: KeepaliveOptions, send: (header: Header) => void, onDead: (silentMs: number) => void) {
    this.#send = send;
    const intervalMs = options.intervalMs ?? KEEPALIVE_INTERVAL_MS_DEFAULT;
    const count = options.count ?? KEEPALIVE_COUNT_DEFAULT;
    this.#timer = setInterval(() => {
      this.#silentIntervals += 1;
      if (this.#silentIntervals > count) onDead(this.#silentIntervals * intervalMs);
      else this.#send(header(PING));
    }, intervalMs);
    // The socket, not this timer, decides whether the process has something to wait for.
    this.#timer.unref();
  }

  /** Something arrived, or we ourselves are not reading just now. */
  alive(): void {
    this.#silentIntervals = 0;
  }

  /** A keepalive packet of the daemon: a ping is answered, a pong has done its work by arriving. */
  received(packet: Header): void {
    if (packet.procedure === PING) this.#send(header(PONG));
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function header(procedure: number): Header {
  return {
    program: Program.KEEPALIVE,
    version: PROGRAM_VERSION,
    procedure,
    type: MessageType.MESSAGE,
    serial: 0,
    status: MessageStatus.OK,
  };
}
