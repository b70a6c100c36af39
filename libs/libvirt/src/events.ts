import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { type Domain, type Secret, writeDomain, writeSecret } from './handles.ts';
import { NOTICE_FORMATS, type NoticeFormat, type NoticeKind, type Notices } from './notices.ts';
import { done, type Procedure, quick } from './procedure.ts';
import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

export type Subscription = AsyncDisposable & {
  /** No notice is delivered after this call began; settles when the daemon has forgotten it. Safe to repeat. */
  close(options?: CallOptions): Promise<void>;
};

export type SubscribeOptions = CallOptions & {
  /** Only what concerns this domain. */
  readonly domain?: Domain;
  /** Only what concerns this secret. */
  readonly secret?: Secret;
};

type Listeners = Map<number, (reader: XdrReader) => void>;
type Register = Procedure<readonly [eventId: number, about: SubscribeOptions], number>;
type Deregister = Procedure<readonly [callbackId: number], void>;

const writeId = (w: XdrWriter, callbackId: number): XdrWriter => w.int(callbackId);
const readId = (r: XdrReader): number => r.int();

const REGISTRATION: Readonly<Record<NoticeFormat<unknown>['source'], readonly [Register, Deregister]>> = {
  domain: [
    quick(
      316,
      'domain event register',
      (w, id: number, { domain }: SubscribeOptions) => (domain ? writeDomain(w.int(id).uint(1), domain) : w.int(id).uint(0)),
      readId,
    ),
    quick(317, 'domain event deregister', writeId, done),
  ],
  secret: [
    quick(
      380,
      'secret event register',
      (w, id: number, { secret }: SubscribeOptions) => (secret ? writeSecret(w.int(id).uint(1), secret) : w.int(id).uint(0)),
      readId,
    ),
    quick(381, 'secret event deregister', writeId, done),
  ],
};

/** Notices: told by the daemon, not asked for (libvirt's virConnectDomainEventRegisterAny). */
export type Events = ReturnType<typeof events>;

export function events(channel: Channel) {
  const listenersOf = new Map<number, Listeners>();

  return {
    /**
     * Delivers every notice of one kind from the moment it settles, in the daemon's order. Each lives
     * as long as the connection: after a reconnect subscribe again, then look at the present state.
     */
    async subscribe<Kind extends NoticeKind>(
      kind: Kind,
      listener: (notice: Notices[Kind]) => void,
      options: SubscribeOptions = {},
    ): Promise<Subscription> {
      const format: NoticeFormat<Notices[Kind]> = NOTICE_FORMATS[kind];
      const [register, deregister] = REGISTRATION[format.source];
      const listeners = listenersFor(channel, listenersOf, format.procedure);
      const { domain, secret, ...callOptions } = options;
      const about = { ...(domain && { domain }), ...(secret && { secret }) };
      // Registered while the reply is dispatched: the very next packet may be the first notice.
      const begin = (reader: XdrReader): number => {
        const id = reader.int();
        listeners.set(id, (r) => deliver(listener, format.read(r)));
        return id;
      };
      const forget = async (id: number, closeOptions?: CallOptions): Promise<void> => {
        if (listeners.delete(id)) await channel.call(deregister, [id], closeOptions);
      };
      const onLate = (id: number): void => void forget(id).catch(() => undefined);
      const id = await channel.open(register, [format.eventId, about], begin, { ...callOptions, onLate });
      return { close: (closeOptions) => forget(id, closeOptions), [Symbol.asyncDispose]: () => forget(id) };
    },
  } as const;
}

function listenersFor(channel: Channel, all: Map<number, Listeners>, procedure: number): Listeners {
  const known = all.get(procedure);
  if (known !== undefined) return known;
  const listeners: Listeners = new Map();
  all.set(procedure, listeners);
  channel.onNotice(procedure, (reader) => listeners.get(reader.int())?.(reader));
  return listeners;
}

/** A listener that throws is its owner's bug: it surfaces as an uncaught error and does not cut the connection. */
function deliver<Notice>(listener: (notice: Notice) => void, notice: Notice): void {
  try {
    listener(notice);
  } catch (cause) {
    queueMicrotask(() => {
      throw cause;
    });
  }
}
