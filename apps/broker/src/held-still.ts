import type { HostName, TrustDomain, VmId } from '@carnet/events';
import type { FenceFacts, Hello } from '@carnet/hypervisor';
import type { Log } from '@carnet/runtime';
import { type CommandOf, type Journey, resumeAfterAll } from '@carnet/saga';
import { isMovingHere } from './moving.ts';
import { oneTryForEach } from './one-try.ts';
import type { PerformContext } from './perform/context.ts';
import { resumeAtHost } from './perform/source.ts';

type HeldPorts = Pick<PerformContext, 'self' | 'inventory' | 'ledgers' | 'alone' | 'hosts' | 'keys'>;

/** Stopped by a source's step, and not given away. What arrived and was not let go yet is held, too, and its migration is open. */
const isStopped = (fence: FenceFacts | undefined): fence is FenceFacts =>
  fence?.standing === 'mine' && fence.vcpus === 'held' && fence.role === 'source';

/**
 * Lets a VM go that its host holds still for a move which this CSP has withdrawn, and of whose stop no ledger says anything. Threat: a machine is set back
 * to before it heard of `TargetReady`, by which its host has stopped the VM, and withdraws before it hears of it again. No event calls for a
 * resume, and nobody may start what is held.
 */
export function letGoOfHeld(ports: HeldPorts, log: Log): (host: HostName, hello: Hello) => void {
  const tryFor = oneTryForEach();
  const letGo = async (host: HostName, vm: VmId, epoch: number): Promise<void> => {
    if ((await ports.inventory.vm(vm))?.host !== host) return;
    const command = withdrawnIn(await ports.ledgers.journeys(vm), ports.self, epoch);
    if (command === undefined) return;
    const resumed = await resumeAtHost(ports, command, host, false);
    if (resumed.kind === 'done')
      log.warn({ vm, host, epoch }, 'the host held a VM still for a move that was withdrawn: it goes on');
    else log.warn({ vm, host, epoch, outcome: resumed.kind }, 'the host holds a VM still for a move that was withdrawn');
  };
  return (host, hello) => {
    for (const { vm, fence } of hello.vms) {
      if (!isStopped(fence)) continue;
      tryFor(vm, () =>
        ports
          .alone(vm, () => letGo(host, vm, fence.epoch))
          .catch((cause: unknown) => log.warn({ vm, host, err: cause }, 'could not look after a VM that is held still')),
      );
    }
  };
}

function withdrawnIn(journeys: readonly Journey[], self: TrustDomain, epoch: number): CommandOf<'ResumeVm'> | undefined {
  if (isMovingHere(journeys, self)) return undefined;
  const m = journeys.flatMap(({ migrations }) => migrations).find((one) => one.source === self && one.epoch === epoch);
  return m === undefined ? undefined : resumeAfterAll(m);
}
