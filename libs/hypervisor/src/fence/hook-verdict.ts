import { type HostName, type Timestamp, unreachable } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { RunPermit } from '../command/permit.ts';
import type { Outcome } from '../outcome.ts';
import type { FenceEntry } from './entry.ts';
import { forbidsRunning } from './moves.ts';
import { type StartTicket, ticketLets } from './ticket.ts';

/**
 * What the hook is asked (libvirt's hooks.html, "/etc/libvirt/hooks/qemu"). `start`: may this VM come to life here? `reconnect`:
 * it lives, libvirtd was restarted and has found it; whoever refuses now kills it. `other`: nothing that makes a VM run.
 */
export type HookQuestion = 'start' | 'reconnect' | 'other';

/**
 * Whatever brings a guest to life passes `prepare`, before anything of it is on the host, and `start`, the last moment before QEMU
 * runs: what the register learned in between counts. `restore` and `migrate` come before those two: asking there, too,
 * would refuse nothing more, and lengthen the stop of every suspended move.
 */
const STARTING: ReadonlySet<string> = new Set(['prepare', 'start', 'attach']);

/** libvirt's operation, as the hook's second argument names it. */
export function hookQuestion(operation: string): HookQuestion {
  if (STARTING.has(operation)) return 'start';
  return operation === 'reconnect' ? 'reconnect' : 'other';
}

/** What this host knows of a domain: all of it from its own disk. */
export type HookFacts = {
  readonly host: HostName;
  readonly now: Timestamp;
  /** Whether the domain bears our mark, or this host has a record of such a VM. */
  readonly claimed: boolean;
  readonly register:
    | { readonly kind: 'none' }
    /** There is something, and it cannot be trusted. */
    | { readonly kind: 'unreadable' }
    | { readonly kind: 'entry'; readonly entry: FenceEntry };
  /** undefined: none is kept. A setback: what is kept is not our broker's word. */
  readonly permit: Outcome<RunPermit> | undefined;
  readonly ticket: StartTicket | undefined;
};

/** Federated is who has an entry, however damaged, or claims to be one of us. Nobody else is any of our business. */
export const isFederated = ({ claimed, register }: Pick<HookFacts, 'claimed' | 'register'>): boolean =>
  claimed || register.kind !== 'none';

/** Why libvirt must not do it; undefined: nothing of ours speaks against it. Pure. */
export function judgeHook(question: HookQuestion, facts: HookFacts): Setback | undefined {
  if (!isFederated(facts)) return undefined;
  switch (question) {
    case 'other':
      return undefined;
    case 'reconnect':
      return judgeReconnect(facts);
    case 'start':
      return judgeStart(facts);
    default:
      return unreachable(question);
  }
}

/** A refusal kills a guest that runs: only what the register surely gave away is worth that, never damage, never a held VM. */
function judgeReconnect({ register }: HookFacts): Setback | undefined {
  if (register.kind !== 'entry' || register.entry.standing === 'mine') return undefined;
  return forbidsRunning(register.entry);
}

function judgeStart(facts: HookFacts): Setback | undefined {
  const { register, ticket, now } = facts;
  if (register.kind !== 'entry') return refused('FENCE_UNREADABLE');
  const { entry } = register;
  const forbidden = forbidsRunning(entry);
  const isOurOwnStart = forbidden?.code === 'VM_HELD' && ticketLets(entry, ticket, Date.parse(now));
  return forbidden !== undefined && !isOurOwnStart ? forbidden : judgePermit(entry, facts);
}

function judgePermit(entry: FenceEntry, { permit, host }: HookFacts): Setback | undefined {
  if (permit === undefined) return refused('RUN_PERMIT_MISSING');
  if (!permit.ok) return permit.setback;
  const { value } = permit;
  if (value.vm !== entry.vm || value.host !== host)
    return refused('RUN_PERMIT_MISMATCH', `It is for ${value.vm} on ${value.host}.`);
  if (value.epoch === entry.epoch) return undefined;
  return refused('RUN_PERMIT_MISMATCH', `It is for epoch ${value.epoch}, the VM is in epoch ${entry.epoch}.`);
}
