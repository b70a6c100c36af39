import { type DsseEnvelope, PAYLOAD_TYPES, type VmId } from '@carnet/events';
import { refused } from '../codes.ts';
import { runPermit } from '../command/permit.ts';
import { done, setBack } from '../outcome.ts';
import type { RunPermits } from '../ports/run-permits.ts';

export type FakePermits = RunPermits & { kept(vm: VmId): number | undefined };

/** Permits in memory: what they say is compared, their signatures are not looked at. */
export function fakePermits(): FakePermits {
  const kept = new Map<VmId, number>();
  return {
    kept: (vm) => kept.get(vm),
    keep: async ({ payloadType, payload }: DsseEnvelope, { vm, epoch }) => {
      if (payloadType !== PAYLOAD_TYPES.runPermit) return setBack(refused('RUN_PERMIT_INVALID'));
      const said = runPermit.safeParse(JSON.parse(Buffer.from(payload, 'base64').toString('utf8')));
      if (said.data?.vm !== vm || said.data.epoch !== epoch) return setBack(refused('RUN_PERMIT_MISMATCH'));
      kept.set(vm, epoch);
      return done(undefined);
    },
    forget: async (vm) => void kept.delete(vm),
  };
}
