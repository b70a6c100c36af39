import type { DsseEnvelope, VmId } from '@carnet/events';
import type { Outcome } from '../outcome.ts';

/**
 * Where a host keeps its broker's leave to run a VM. Real: `apps/agent`, which knows envelopes and certificates; in memory:
 * `fakePermits`.
 */
export type RunPermits = {
  /** Durable when it returns. RUN_PERMIT_INVALID, RUN_PERMIT_MISMATCH: not our broker's of now, or not for this; nothing is kept. */
  keep(permit: DsseEnvelope, of: { readonly vm: VmId; readonly epoch: number }): Promise<Outcome<undefined>>;
  forget(vm: VmId): Promise<void>;
};
