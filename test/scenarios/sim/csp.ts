import type { TrustDomain } from '@carnet/events';
import type { SpareFiles } from './custody.ts';
import type { Database } from './database.ts';
import type { Heads } from './heads.ts';
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
  readonly heads: Heads;
  /** Beside them: how far effects relied on each peer's ledger. */
  readonly relied: Heads;
  /** Beside them, of each own ledger: by which boot of the machine it was compared with what the bus holds of it. */
  readonly boots: Map<TrustDomain, number>;
  /** The boot of now, from 1: one more each time the machine is set back. */
  boot: number;
  /** The folder with these was lost, and no process has looked at it since. */
  isUnkept: boolean;
  /** Events of peers, by digest, of which `relied` was lost or set back. */
  readonly reliedUnkept: Set<string>;
  /** By file name. */
  readonly spares: SpareFiles;
  /** They were lost, and not all are made anew. */
  isUnspared: boolean;
  readonly replicas: (Replica | undefined)[];
  readonly lives: Life[];
  /** How often its database was restored. */
  restores: number;
};

/** What a process needs to be back, ms. */
export const RESTART_MS = 2_000;

/** The VM is in its books. */
export const holdsIt = ({ database }: Csp): boolean => database.rows('select vm from broker_vms').length > 0;
