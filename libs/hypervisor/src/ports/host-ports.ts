import type { Evidence, SignedEvidence, Timestamp } from '@carnet/events';
import type { SealedSecret } from '../command/scalars.ts';
import type { HostPaths } from '../host-paths.ts';
import type { Outcome } from '../outcome.ts';
import type { SecretContext } from '../secret-context.ts';
import type { Artifacts } from './artifacts.ts';
import type { HostFiles } from './files.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { RunPermits } from './run-permits.ts';
import type { Volumes } from './volumes.ts';

/** pino's shape, as far as it is used here. */
export type Log = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>;

/** Time as the host has it; only durations and deadlines depend on it. */
export type Clock = { now(): Timestamp; sleep(ms: number, signal: AbortSignal): Promise<void> };

/** Opens one sealed secret with the agent's transport key. The caller zeroes what it gets. */
export type SecretOpener = (sealed: SealedSecret, context: SecretContext) => Promise<Outcome<Uint8Array>>;

/** Signs what this host saw (DSSE, the agent's X.509 leaf). */
export type EvidenceSigner = (evidence: Evidence) => SignedEvidence;

/** Everything a host's steps reach the world through. */
export type HostPorts = {
  readonly hypervisor: Hypervisor;
  readonly volumes: Volumes;
  readonly artifacts: Artifacts;
  readonly permits: RunPermits;
  readonly files: HostFiles;
  readonly paths: HostPaths;
  readonly openSecret: SecretOpener;
  readonly signEvidence: EvidenceSigner;
  readonly memoryMiBFree: () => Promise<number>;
  /** What this host lends to VMs in all, when it must be less than what the machine has. */
  readonly limits: { readonly memoryMiB?: number | undefined; readonly volumeBytes?: number | undefined };
  readonly clock: Clock;
  readonly log: Log;
};
