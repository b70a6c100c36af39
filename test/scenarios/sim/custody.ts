import type { HostName, TrustDomain } from '@carnet/events';
import type { SecretOpener } from '@carnet/hypervisor';
import type { KeyManager } from '@carnet/keys';
import type { Change, Store } from '@carnet/store';
import type { HostRegistry } from '../../../apps/broker/src/hosts/registry.ts';
import type { HandoverKeys } from '../../../apps/broker/src/keys/handover-keys.ts';
import type { Database } from './database.ts';
import type { Faults } from './faults.ts';
import type { KeyRules } from './keys.ts';
import type { Life, Scheduler } from './scheduler.ts';

/** The spares of a CSP's keys, outside of its database: what a restore does not bring back. Files by name. */
export type SpareFiles = Map<string, string>;

/** What one replica has of the key manager. */
export type ReplicaKeys = {
  readonly handover: HandoverKeys;
  readonly manager: Pick<
    KeyManager,
    | 'retire'
    | 'discard'
    | 'undiscardedOf'
    | 'stillHoldingOf'
    | 'undestroyedOf'
    | 'unendedOf'
    | 'settleSpares'
    | 'eraseSpares'
    | 'sharedByLedger'
    | 'releasedByLedger'
  >;
  /** The disk's key of the VM that is born here. */
  readonly create: () => Promise<void>;
};

export type ReplicaKeyPorts = {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly life: Life;
  readonly store: Store;
  readonly spares: SpareFiles;
  readonly domain: TrustDomain;
  readonly registry: () => HostRegistry;
  readonly nowMs: () => number;
  readonly random: (bytes: number) => Uint8Array;
  readonly rules: KeyRules;
  readonly durable: () => Promise<void>;
};

/** The key manager of a history: the real one, or a model of its states without cryptography. */
export type Custody = {
  readonly kind: 'real' | 'model';
  readonly changes: readonly (readonly Change[])[];
  /** Base64, for the hello of a host. */
  readonly hostKey: (host: HostName) => string;
  readonly openerOf: (host: HostName, scheduler: Scheduler) => SecretOpener;
  readonly open: (ports: ReplicaKeyPorts) => ReplicaKeys;
  /** Whether the CSP may use a key of the VM's disk now. */
  readonly isActive: (database: Database) => boolean;
  /** Whether the CSP has a key of the VM's disk still, usable now or not. */
  readonly isKept: (database: Database) => boolean;
  /** Whether each key here that no peer can bring back has its spare. The model makes none anew, so its spares are never lost. */
  readonly isSpared: (database: Database, spares: SpareFiles) => boolean;
  /** What of a key beside those that it needs, or of what opens one, is left at a CSP. */
  readonly left: (database: Database, needed: readonly string[]) => string | undefined;
};
