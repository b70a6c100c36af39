import { timestamp } from '@carnet/events';
import type { Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { type GrantingCommand, grantedEpoch } from '../command/permit.ts';
import { encodeTicket } from '../fence/ticket.ts';
import { START_TICKET_MS } from '../limits.ts';
import type { StepContext } from './step.ts';

/** Keeps the permit that came with a command, before the fence moves to what it permits: else a crash leaves a VM that no hook lets start. */
export async function keepPermit({ ports }: StepContext, command: GrantingCommand): Promise<Setback | undefined> {
  const epoch = grantedEpoch(command);
  if (command.permit === undefined || epoch === undefined) return undefined;
  const kept = await ports.permits.keep(command.permit, { vm: command.vm, epoch });
  return kept.ok ? undefined : kept.setback;
}

/** The same context, whose starts tell libvirt's hook that they are this agent's own. */
export function withStartTicket(context: StepContext, { vm, epoch }: CommandOf<'start'> | CommandOf<'resume'>): StepContext {
  const { ports } = context;
  const { files, paths, clock, hypervisor } = ports;
  const ticketed = async (start: () => Promise<void>): Promise<void> => {
    const until = timestamp.parse(new Date(Date.parse(clock.now()) + START_TICKET_MS).toISOString());
    await files.write(paths.startTicket(vm), encodeTicket({ vm, epoch, until }));
    try {
      await start();
    } finally {
      await files.remove(paths.startTicket(vm));
    }
  };
  return {
    ...context,
    ports: {
      ...ports,
      hypervisor: {
        ...hypervisor,
        startHeld: (uuid) => ticketed(() => hypervisor.startHeld(uuid)),
        restoreHeld: (statePath, definition) => ticketed(() => hypervisor.restoreHeld(statePath, definition)),
      },
    },
  };
}
