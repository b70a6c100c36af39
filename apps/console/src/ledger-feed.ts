import { setTimeout as sleep } from 'node:timers/promises';
import { type BrokerClient, StreamRefused } from '@carnet/publisher';
import type { Log } from '@carnet/runtime';
import { PROBE_MS, REFUSED_RETRY_MS } from './limits.ts';
import { type FeedEntry, RecentEntries } from './recent-entries.ts';

export interface FeedHealth {
  readonly state: 'live' | 'stale';
  /** RFC 3339: since when the state is as it is. */
  readonly since: string;
  /** When the broker last answered. */
  readonly heardAt?: string;
  /** Why it is stale. */
  readonly text?: string;
}

/** What the ledgers of this CSP say, followed once for all browsers. */
export interface LedgerFeed {
  readonly recent: RecentEntries;
  readonly health: () => FeedHealth;
  /** Fires after each new entry, and after each probe of the broker. */
  readonly onChange: (listener: () => void) => () => void;
  readonly stop: () => Promise<void>;
}

export interface FeedPorts {
  readonly broker: Pick<BrokerClient, 'get' | 'follow'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly now: () => Date;
  readonly probeMs?: number;
}

/**
 * Follows the broker from the first entry on: keys are announced at the beginning of ledgers, and without them no signature
 * can be checked. A connection that died without a word is found out by probing, and followed anew from the last cursor.
 */
export function startLedgerFeed(ports: FeedPorts): LedgerFeed {
  const recent = new RecentEntries();
  const listeners = new Set<() => void>();
  const stopped = new AbortController();
  const restart = { current: new AbortController() };
  let cursor = '';
  let health: FeedHealth = { state: 'stale', since: ports.now().toISOString(), text: 'the broker has not answered yet' };
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const becomes = (state: FeedHealth['state'], text?: string): void => {
    const at = ports.now().toISOString();
    if (state !== health.state) ports.log.info({ state, reason: text }, 'feed of the broker');
    const heardAt = state === 'live' ? at : health.heardAt;
    const since = state === health.state ? health.since : at;
    health = { state, since, ...(heardAt === undefined ? {} : { heardAt }), ...(text === undefined ? {} : { text }) };
  };

  const follow = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const signal = AbortSignal.any([stopped.signal, restart.current.signal]);
      try {
        for await (const entry of ports.broker.follow<FeedEntry>(cursor, signal)) {
          cursor = entry.cursor;
          recent.add(entry);
          changed();
        }
      } catch (cause) {
        const text = cause instanceof StreamRefused ? cause.message : String(cause);
        ports.log.warn({ reason: text }, 'the broker refused to be followed');
        await pause(REFUSED_RETRY_MS, signal);
      }
    }
  };
  const probe = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const answer = await ports.broker.get('/v1/migrations?limit=1');
      if (answer.ok) becomes('live');
      else {
        becomes('stale', `${answer.code}: ${answer.text}`);
        // The old connection may hang without ever ending; the next one goes on at the cursor.
        restart.current.abort();
        restart.current = new AbortController();
      }
      changed();
      await pause(ports.probeMs ?? PROBE_MS, stopped.signal);
    }
  };

  const running = Promise.all([follow(), probe()]);
  return {
    recent,
    health: () => health,
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
}

/** An aborted pause is simply over. */
const pause = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal }).catch(() => undefined);
