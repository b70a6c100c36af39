import { type VmId, vmId } from '@carnet/events';
import { refused } from '../codes.ts';
import type { RunPermit } from '../command/permit.ts';
import { type HostPaths, uuidOf } from '../host-paths.ts';
import { FENCE_FILE_BYTES_MAX, PERMIT_FILE_BYTES_MAX } from '../limits.ts';
import { type Outcome, setBack } from '../outcome.ts';
import type { HostFiles } from '../ports/files.ts';
import type { Clock } from '../ports/host-ports.ts';
import type { HostIdentity } from '../steps/step.ts';
import type { DomainMark } from './domain-mark.ts';
import { decodeEntry } from './entry.ts';
import type { HookFacts } from './hook-verdict.ts';
import { decodeTicket } from './ticket.ts';

export type HookStore = {
  readonly self: HostIdentity;
  readonly files: Pick<HostFiles, 'read' | 'size' | 'list'>;
  readonly paths: HostPaths;
  readonly clock: Pick<Clock, 'now'>;
  /** Verifies a kept permit, offline. */
  readonly openPermit: (file: Uint8Array) => Promise<Outcome<RunPermit>>;
};

type Found = Buffer | undefined | 'unreadable';

/** An unreadable file is an answer here: whoever asks must hear something, and a refusal of everybody would be the wrong thing. */
async function look(read: () => Promise<Buffer | undefined>): Promise<Found> {
  try {
    return await read();
  } catch {
    return 'unreadable';
  }
}

/** What this host knows of the domain. Reads, never writes; whatever cannot be read is told as such. */
export async function lookUpDomain(store: HookStore, mark: DomainMark): Promise<HookFacts> {
  const { self, files, paths, clock } = store;
  const known = { host: self.host, now: clock.now() };
  const vm = vmId.safeParse(`${self.domain}/${mark.uuid}`).data;
  if (vm === undefined)
    return { ...known, claimed: mark.marked, register: { kind: 'none' }, permit: undefined, ticket: undefined };
  // Folders hold files by UUID alone: which domain a VM calls home says the entry in it.
  const register = await registerOf(store, vm);
  const recorded = await look(async () => ((await files.size(paths.spec(vm))) === undefined ? undefined : Buffer.alloc(0)));
  const permit = await look(() => files.read(paths.permit(vm)));
  const ticket = await look(() => files.read(paths.startTicket(vm)));
  return {
    ...known,
    claimed: mark.marked || Buffer.isBuffer(recorded),
    register,
    permit: await permitIn(store, permit),
    ticket: Buffer.isBuffer(ticket) ? decodeTicket(ticket) : undefined,
  };
}

async function registerOf({ files, paths }: HookStore, vm: VmId): Promise<HookFacts['register']> {
  const found = await look(() => files.read(paths.fence(vm)));
  if (found === undefined) return { kind: 'none' };
  // A folder that cannot be read says nothing of a VM that does not claim to be one of us; a file of that name does.
  if (found === 'unreadable') return (await isListed(files, paths, vm)) ? { kind: 'unreadable' } : { kind: 'none' };
  const entry = found.length > FENCE_FILE_BYTES_MAX ? undefined : decodeEntry(found);
  return entry !== undefined && uuidOf(entry.vm) === uuidOf(vm) ? { kind: 'entry', entry } : { kind: 'unreadable' };
}

async function isListed(files: HookStore['files'], { fenceDir }: HostPaths, vm: VmId): Promise<boolean> {
  try {
    return (await files.list(fenceDir)).includes(`${uuidOf(vm)}.json`);
  } catch {
    return false;
  }
}

async function permitIn({ openPermit }: HookStore, file: Found): Promise<HookFacts['permit']> {
  if (file === undefined) return undefined;
  if (file === 'unreadable' || file.length > PERMIT_FILE_BYTES_MAX) return setBack(refused('RUN_PERMIT_INVALID'));
  return openPermit(file);
}
