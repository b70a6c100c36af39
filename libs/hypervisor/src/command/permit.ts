import { hostName, timestamp, vmId } from '@carnet/events';
import { z } from 'zod';
import type { CommandOf, HostCommand } from './command.ts';

/**
 * A broker's leave to run one VM on one host in one epoch: payload of a DSSE envelope signed by the broker's X.509 leaf
 * (`PAYLOAD_TYPES.runPermit`). It rides with commands, is kept by the host, and holds nothing secret. Loose on purpose: a
 * permit lives as long as its VM stays, and fields of a later version must not stop it.
 */
export const runPermit = z
  .object({
    host: hostName,
    vm: vmId,
    /** 0: where the VM was created. */
    epoch: z.int().min(0),
    /** When it was signed: its certificates must have been valid then. */
    time: timestamp,
  })
  .readonly();
export type RunPermit = z.infer<typeof runPermit>;

export type GrantingCommand = CommandOf<'createVm' | 'startVm' | 'start' | 'resume'>;

/** The epoch that a command lets its host run, if it does. */
export function grantedEpoch(command: HostCommand): number | undefined {
  switch (command.step) {
    case 'createVm':
      return 0;
    case 'startVm':
      return command.body.epoch;
    case 'start':
    case 'resume':
      return command.epoch;
    default:
      return undefined;
  }
}
