import type { MigrationId, Timestamp } from '@carnet/events';

export interface Failure {
  readonly command: string;
  readonly code: string;
  readonly text: string;
  readonly at: Timestamp;
}

/** The last failed attempt of each migration, for people who ask why nothing moves. Memory only: the ledgers hold the facts. */
export interface Failures {
  readonly note: (migration: MigrationId, failure: Failure) => void;
  readonly forget: (migration: MigrationId) => void;
  readonly last: (migration: MigrationId) => Failure | undefined;
}

/** Migrations remembered: the oldest goes first. */
const REMEMBERED_MAX = 10_000;

export function createFailures(): Failures {
  const last = new Map<MigrationId, Failure>();
  return {
    note: (migration, failure) => {
      last.delete(migration);
      const [oldest] = last.size >= REMEMBERED_MAX ? last.keys() : [];
      if (oldest !== undefined) last.delete(oldest);
      last.set(migration, failure);
    },
    forget: (migration) => void last.delete(migration),
    last: (migration) => last.get(migration),
  };
}
