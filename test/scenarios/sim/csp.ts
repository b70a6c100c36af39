import type { HeadPosition, TrustDomain } from '@carnet/events';
import type { HeadFile } from '../../../libs/journal/src/head-file.ts';
import { positionOf } from '../../../libs/trust/src/index.ts';
import type { Database } from './database.ts';
import type { SimHost } from './host.ts';
import type { Identity } from './identities.ts';
import type { Replica } from './replica.ts';
import type { Life } from './scheduler.ts';
import type { Sessions } from './store.ts';

export type Csp = {
  readonly domain: TrustDomain;
  readonly identity: Identity;
  readonly database: Database;
  readonly sessions: Sessions;
  readonly host: SimHost;
  /** Heads fsynced outside of the database; both replicas stand on one machine. */
  readonly heads: Map<TrustDomain, HeadPosition>;
  readonly replicas: (Replica | undefined)[];
  readonly lives: Life[];
  restored: boolean;
};

/** What a process needs to be back, ms. */
export const RESTART_MS = 2_000;

/** In memory, but outside of the database: what a restore of the database does not bring back. */
export function headFileOf({ heads }: Csp, audience: TrustDomain): HeadFile {
  const read = (): HeadPosition => heads.get(audience) ?? null;
  let known = read();
  return {
    read: async () => {
      known = read();
      return known;
    },
    known: () => known,
    reach: async (head) => {
      if (positionOf(read()?.seq) < positionOf(head?.seq)) heads.set(audience, head);
      known = read();
    },
    settle: async (head) => {
      heads.set(audience, head);
      known = head;
    },
  };
}

export const volatileHead = (): HeadFile => ({
  read: async () => null,
  known: () => null,
  reach: async () => undefined,
  settle: async () => undefined,
});
