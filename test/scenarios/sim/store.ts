import type { Lease, Store } from '@carnet/store';
import type { Database } from './database.ts';
import type { Faults } from './faults.ts';
import { Accident, type Life, type Scheduler } from './scheduler.ts';

/** What the replicas of one CSP share besides their tables: locks of sessions, and notices. */
export type Sessions = {
  readonly leases: Map<string, { readonly life: Life; readonly lost: AbortController }>;
  readonly listeners: Set<{ readonly life: Life; readonly channel: string; readonly heard: (payload: string) => void }>;
};
export const newSessions = (): Sessions => ({ leases: new Map(), listeners: new Set() });

export type StorePorts = {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly database: Database;
  readonly sessions: Sessions;
  readonly life: Life;
  /** The whole process dies where it stands. */
  readonly crash: () => void;
};

const MEAN_MS = 1;

/** A replica's connection to its CSP's database, interruptible before each transaction and after each commit. */
export function openSimStore({ scheduler, faults, database, sessions, life, crash }: StorePorts): Store {
  const never = new Promise<never>(() => undefined);
  const gate = async (at: 'begin' | 'committed'): Promise<void> => {
    if (life.dead) return never;
    if (at === 'begin') {
      const what = faults.take('crash before a write') ? 'crash' : faults.fate('database call', ['not-done']);
      await scheduler.point(
        life,
        scheduler.latency(MEAN_MS),
        () => (what === 'not-done' ? 'not-done' : 'done'),
        async () => {
          if (what === 'crash') crash();
        },
      );
      return life.dead ? never : undefined;
    }
    if (faults.take('crash after a write')) {
      crash();
      return never;
    }
    if (faults.take('commit unreported')) throw new Accident('committed, and not reported');
    return undefined;
  };
  const db = database.connect(gate, (undo) => void life.onDeath.push(undo));
  life.onDeath.push(() => {
    for (const [name, held] of sessions.leases) if (held.life === life) sessions.leases.delete(name);
    for (const listener of sessions.listeners) if (listener.life === life) sessions.listeners.delete(listener);
  });
  return {
    kind: 'embedded',
    db,
    tryLease: async (name): Promise<Lease | undefined> => {
      // Most tries are of replicas that wait for another to die: they need no turn to hear that it lives.
      if (sessions.leases.has(name)) return undefined;
      await gate('begin');
      if (sessions.leases.has(name)) return undefined;
      const held = { life, lost: new AbortController() };
      sessions.leases.set(name, held);
      // A connection that dies loses its locks before its holder hears of it.
      if (faults.take('lease lost')) {
        scheduler.at(scheduler.elapsedMs() + scheduler.latency(200), () => {
          if (sessions.leases.get(name) === held) sessions.leases.delete(name);
        });
        scheduler.at(scheduler.elapsedMs() + 1_000, () => held.lost.abort(), life);
      }
      return {
        signal: held.lost.signal,
        release: async () => {
          if (sessions.leases.get(name) === held) sessions.leases.delete(name);
        },
      };
    },
    listen: async (channel, heard) => {
      const listener = { life, channel, heard };
      sessions.listeners.add(listener);
      return async () => void sessions.listeners.delete(listener);
    },
    notify: async (channel, payload) => {
      for (const listener of sessions.listeners) {
        if (listener.channel !== channel || faults.take('message lost')) continue;
        scheduler.at(scheduler.elapsedMs() + scheduler.latency(MEAN_MS), () => listener.heard(payload), listener.life);
      }
    },
    close: async () => undefined,
  };
}
