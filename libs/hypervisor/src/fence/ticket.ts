import { timestamp, vmId } from '@carnet/events';
import { z } from 'zod';
import { START_TICKET_MS } from '../limits.ts';
import type { FenceEntry } from './entry.ts';

/**
 * The agent's word to libvirt's hook that it is itself starting a VM which nobody else may start: the vCPUs of a target, and
 * of a source that resumes, are held until everything that can fail has not, and only then does the register say `may-run`.
 */
const startTicket = z.strictObject({ vm: vmId, epoch: z.int().min(1), until: timestamp }).readonly();
export type StartTicket = z.infer<typeof startTicket>;

export const encodeTicket = (ticket: StartTicket): Uint8Array => Buffer.from(`${JSON.stringify(ticket)}\n`);

/** undefined: not one of ours. */
export function decodeTicket(bytes: Uint8Array): StartTicket | undefined {
  try {
    return startTicket.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

/** Only for whose VM it is; and only now, so that a ticket which a crash left behind opens nothing. */
export function ticketLets({ vm, epoch, standing }: FenceEntry, ticket: StartTicket | undefined, nowMs: number): boolean {
  if (ticket === undefined || standing !== 'mine') return false;
  const leftMs = Date.parse(ticket.until) - nowMs;
  return ticket.vm === vm && ticket.epoch === epoch && leftMs > 0 && leftMs <= START_TICKET_MS;
}
