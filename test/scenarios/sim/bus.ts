import { ledgerStream, PAYLOAD_TYPES, peerSubject, type TrustDomain } from '@carnet/events';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import type { LinkBus } from '../../../libs/journal/src/bus/link.ts';
import { BUS_ANSWER_MS_MAX } from '../../../libs/journal/src/limits.ts';
import { type CutWay, createCuts } from './cuts.ts';
import type { Faults } from './faults.ts';
import { Accident, type Life, type Scheduler } from './scheduler.ts';

type Stored = {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly id: string;
  readonly sinceMs: number;
  ackedMs: number | undefined;
  inFlightUntilMs: number;
  deliveries: number;
};
type Stream = {
  messages: Stored[];
  lastSeq: number;
  consumer: Consumer | undefined;
  withheldUntilMs: number;
};
type Consumer = {
  readonly self: TrustDomain;
  readonly life: Life;
  readonly crash: () => void;
  readonly take: (message: object) => void;
  readonly closed: PromiseWithResolvers<undefined>;
};

type Heard = (error: null, message: { readonly data: Uint8Array }) => void;
type Listener = { readonly self: TrustDomain; readonly life: Life; readonly callback: Heard };

/** One replica's connection; `crash` ends its process. */
type Connecting = {
  readonly self: TrustDomain;
  readonly life: Life;
  readonly crash: () => void;
  readonly ignoresResent: boolean;
  /** A mutant's: it signs no heads, and answers nobody. */
  readonly isMute: boolean;
};

/** What an unacknowledged message waits before it is sent again, ms. */
const REDELIVER_MS = 3_000;
const MEAN_MS = 3;

export type SimBus = ReturnType<typeof createBus>;

/** What happens where a ledger is told: for the checks that stand at the moment of publishing. */
export type Told = (publisher: TrustDomain, envelope: Uint8Array) => void;

const isEvent = (bytes: Uint8Array): boolean => Buffer.from(bytes.subarray(0, 100)).includes(PAYLOAD_TYPES.event);

/** A bus that may do everything but forge: the client's calls that the journal uses, over streams that lie by omission. */
export function createBus(scheduler: Scheduler, faults: Faults, told: Told) {
  const streams = new Map<string, Stream>();
  const channels = new Map<string, Set<Listener>>();
  const cuts = createCuts(scheduler);

  const streamOf = (name: string): Stream => {
    const known = streams.get(name) ?? { messages: [], lastSeq: 0, consumer: undefined, withheldUntilMs: 0 };
    streams.set(name, known);
    return known;
  };

  const pump = (name: string): void => {
    const stream = streamOf(name);
    const { consumer } = stream;
    if (consumer === undefined || consumer.life.dead) return;
    for (const message of stream.messages) {
      if (message.ackedMs !== undefined || message.inFlightUntilMs > scheduler.elapsedMs()) continue;
      const delay =
        scheduler.latency(MEAN_MS) + Math.max(0, stream.withheldUntilMs - scheduler.elapsedMs()) + faults.extraDelayMs();
      message.inFlightUntilMs = scheduler.elapsedMs() + delay + REDELIVER_MS;
      const copies = faults.take('bus repeats') ? 2 : 1;
      if (!faults.take('bus drops'))
        for (let i = 0; i < copies; i += 1)
          scheduler.at(scheduler.elapsedMs() + delay + i, () => deliver(name, message, consumer), consumer.life);
      scheduler.at(message.inFlightUntilMs, () => pump(name), consumer.life);
    }
  };
  const deliver = (name: string, message: Stored, consumer: Consumer): void => {
    const stream = streamOf(name);
    if (stream.consumer !== consumer || !stream.messages.includes(message)) return;
    const again = (ms: number) => {
      message.inFlightUntilMs = scheduler.elapsedMs() + ms;
      scheduler.at(message.inFlightUntilMs, () => pump(name));
    };
    if (cuts.isDeaf(consumer.self)) {
      again(cuts.deafUntilMs(consumer.self) - scheduler.elapsedMs());
      return;
    }
    message.deliveries += 1;
    consumer.take({
      data: message.data,
      subject: message.subject,
      info: { deliveryCount: message.deliveries },
      ack: () => {
        if (!cuts.isUnheard(consumer.self) && !faults.take('acknowledgement lost')) message.ackedMs ??= scheduler.elapsedMs();
        if (faults.take('crash after an acknowledgement')) consumer.crash();
      },
      nak: (ms = 1) => again(ms),
      term: () => {
        if (!cuts.isUnheard(consumer.self)) message.ackedMs ??= scheduler.elapsedMs();
      },
    });
  };

  const store = (name: string, subject: string, data: Uint8Array, id: string): number => {
    const stream = streamOf(name);
    const seq = stream.lastSeq + 1;
    const sinceMs = scheduler.elapsedMs();
    stream.lastSeq = seq;
    stream.messages.push({ seq, subject, data, id, sinceMs, ackedMs: undefined, inFlightUntilMs: 0, deliveries: 0 });
    pump(name);
    return seq;
  };

  const publish = async (self: TrustDomain, peer: TrustDomain, subject: string, data: Uint8Array, id: string) => {
    const name = ledgerStream(self, peer);
    const stream = streamOf(name);
    told(self, data);
    const known = stream.messages.find((message) => message.id === id);
    if (known !== undefined && !faults.take('bus forgets what it recognised')) return { seq: known.seq, duplicate: true };
    return { seq: store(name, subject, data, id), duplicate: false };
  };

  const tellChannel = (subject: string, data: Uint8Array): void => {
    const copies = faults.take('message repeated') ? 2 : 1;
    for (let i = 0; i < copies; i += 1)
      scheduler.at(scheduler.elapsedMs() + scheduler.latency(MEAN_MS) + faults.extraDelayMs(), () => {
        for (const { self, life: hears, callback } of channels.get(subject) ?? [])
          if (!hears.dead && !cuts.isDeaf(self)) scheduler.within(hears, () => callback(null, { data }));
      });
  };

  /** As one replica's connection sees it. */
  const connect = ({ self, life, crash, ignoresResent, isMute }: Connecting): LinkBus => {
    // Who is not heard asks in vain; who hears nothing is not answered.
    const reached = async <T>(work: () => Promise<T>): Promise<T> => {
      if (cuts.isDown(self)) throw new Accident('not connected');
      if (cuts.isUnheard(self)) return new Promise(() => undefined);
      const result = await work();
      return cuts.isDeaf(self) ? new Promise(() => undefined) : result;
    };
    const call = <T>(work: () => Promise<T>): Promise<T> =>
      scheduler.inTime(life, BUS_ANSWER_MS_MAX, () =>
        scheduler.point(
          life,
          scheduler.latency(MEAN_MS),
          () => faults.fate('bus call', ['not-done', 'unreported', 'twice', 'never', 'unanswered']),
          () => reached(work),
        ),
      );
    const client = {
      publish: (
        subject: string,
        data: Uint8Array,
        { msgID, expect }: { readonly msgID: string; readonly expect: { readonly streamName: string } },
      ) =>
        call(async () => {
          const published = await publish(self, peerOf(self, expect.streamName), subject, data, msgID);
          if (faults.take('crash after a publish')) crash();
          return published;
        }),
      consumers: {
        get: (name: string) =>
          call(async () => ({
            consume: async ({ callback }: { readonly callback: (message: object) => void }) => {
              const consumer: Consumer = { self, life, crash, take: callback, closed: Promise.withResolvers<undefined>() };
              streamOf(name).consumer = consumer;
              for (const message of streamOf(name).messages) message.inFlightUntilMs = 0;
              pump(name);
              const close = async (): Promise<void> => {
                if (streamOf(name).consumer === consumer) streamOf(name).consumer = undefined;
                consumer.closed.resolve(undefined);
              };
              return { stop: () => void close(), close, closed: () => consumer.closed.promise };
            },
          })),
      },
    };
    const manager = {
      streams: {
        getMessage: (name: string, of: { readonly seq?: number }) =>
          call(async () => {
            const { messages } = streamOf(name);
            const found = of.seq === undefined ? messages.at(-1) : messages.find(({ seq }) => seq === of.seq);
            return found === undefined ? null : { seq: found.seq, data: found.data };
          }),
      },
    };
    const connection = {
      subscribe: (subject: string, { callback }: { readonly callback: Heard }) => {
        const hears: Heard = (_, message) => {
          if (!ignoresResent || !isEvent(message.data)) callback(null, message);
        };
        const listener: Listener = { self, life, callback: hears };
        const listeners = channels.get(subject) ?? new Set<Listener>();
        channels.set(subject, listeners.add(listener));
        return { unsubscribe: () => void listeners.delete(listener) };
      },
      publish: (subject: string, data: Uint8Array) => {
        if (isMute || cuts.isUnheard(self) || faults.take('message lost')) return;
        tellChannel(subject, data);
      },
    };
    // The journal's bus calls nothing else of these three; a whole client would be a second NATS.
    return {
      jetStream: async () => ({
        client: client as unknown as JetStreamClient,
        manager: manager as unknown as JetStreamManager,
      }),
      connection: connection as unknown as NatsConnection,
      isUp: () => !cuts.isDown(self),
      reconnects: { add: (back) => cuts.watch({ domain: self, life, back }) },
    };
  };

  const known = new Set<string>();
  const peerOf = (self: TrustDomain, stream: string): TrustDomain => {
    for (const peer of known) if (ledgerStream(self, peer as TrustDomain) === stream) return peer as TrustDomain;
    throw new Error(`no stream ${stream} of ${self}`);
  };
  return {
    connect,
    join: (domain: TrustDomain): void => void known.add(domain),
    cutOff: (domain: TrustDomain, way: CutWay, ms: number): void => cuts.begin(domain, way, ms),
    heal: (): void => {
      cuts.end();
      for (const [name, stream] of streams) {
        stream.withheldUntilMs = 0;
        pump(name);
      }
    },
    /** As somebody who may publish there, past its own journal. */
    inject: (publisher: TrustDomain, audience: TrustDomain, subject: string, data: Uint8Array): void => {
      const name = ledgerStream(publisher, audience);
      store(name, subject, data, `injected ${streamOf(name).lastSeq + 1}`);
    },
    say: (self: TrustDomain, peer: TrustDomain, data: Uint8Array): void => tellChannel(peerSubject(self, peer), data),
    wipe: (name: string): void => {
      const stream = streamOf(name);
      stream.messages = [];
      stream.lastSeq = 0;
    },
    /** Messages and acknowledgements of the last `ms` are lost, and positions are given out again. */
    setBack: (ms: number): void => {
      const thenMs = scheduler.elapsedMs() - ms;
      for (const [name, stream] of streams) {
        stream.messages = stream.messages.filter(({ sinceMs }) => sinceMs <= thenMs);
        stream.lastSeq = stream.messages.at(-1)?.seq ?? 0;
        for (const message of stream.messages) {
          if (message.ackedMs !== undefined && message.ackedMs > thenMs) message.ackedMs = undefined;
          message.inFlightUntilMs = 0;
        }
        pump(name);
      }
    },
    withhold: (name: string, ms: number): void => {
      streamOf(name).withheldUntilMs = scheduler.elapsedMs() + ms;
    },
    /** By the id of a message, which is its event's digest. */
    holds: (name: string, id: string): boolean => streamOf(name).messages.some((message) => message.id === id),
    names: (): readonly string[] => [...streams.keys()],
  };
}
