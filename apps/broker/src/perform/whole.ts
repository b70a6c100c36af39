import type { Outcome } from '@carnet/runtime';
import type { Command } from '@carnet/saga';
import { failed, type GiveUp, giveUp, LOOK_AGAIN, type PerformContext } from './context.ts';

/**
 * A target that has lost what it imported neither starts nor finalizes: the source retires on our word, and would destroy the only other copy.
 * Before it has started the VM is given back, if its host swears that it never ran. `undefined`: all is here.
 */
export async function unlessWhole(
  context: PerformContext,
  command: Command,
  otherwise: 'give-back' | 'wait',
): Promise<Outcome | GiveUp | undefined> {
  const here = await context.here(await context.ledgers.journey(command.vm, command.peer));
  if (here.kind === 'whole') return undefined;
  if (here.kind === 'later') return LOOK_AGAIN;
  return otherwise === 'give-back' ? giveUp(here.code, here.text) : failed(here.code, here.text);
}
