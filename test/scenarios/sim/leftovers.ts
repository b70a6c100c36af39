import { type KeyId, keysOf, vmSpec } from '@carnet/events';
import type { MigrationState } from '@carnet/saga';
import { z } from 'zod';
import { decodeEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import { type Csp, holdsIt } from './csp.ts';
import type { Custody } from './custody.ts';

export type Leftover = {
  readonly rule: 'I2 never neither' | 'I6 nothing left' | 'lost secrets come back';
  readonly text: string;
};
export type Looking = {
  readonly csps: readonly Csp[];
  readonly custody: Custody;
  readonly running: (csp: Csp) => Promise<boolean>;
  /** The migrations in which this CSP has a part. */
  readonly moves: (csp: Csp) => readonly MigrationState[];
  readonly nowMs: number;
};

/** Keys of the VMs that a CSP holds. */
const needed = ({ database }: Csp): readonly KeyId[] =>
  database.rows('select spec from broker_vms').flatMap(({ spec }) => keysOf(vmSpec.parse(JSON.parse(String(spec)))));

/** What served only the move: saved memory, what was staged, and keys other than those that open its disks now. */
function leftAtHolder(csp: Csp, custody: Custody): string | undefined {
  const files = csp.host.fake.files
    .paths()
    .filter((path) => /\.(state|save|start|partial|replaced|rekeying)$|\/staging\//.test(path));
  if (files.length > 0) return files.join(', ');
  return custody.left(csp.database, needed(csp));
}

/** Fences and step logs stay for ever; of reservations see below. */
const STAYS = /^\/s\/(fence|claims|steps|leases)\//;

async function leftElsewhere({ host, spares, database }: Csp, custody: Custody): Promise<string | undefined> {
  const files = host.fake.files.paths().filter((path) => !STAYS.test(path));
  if (files.length > 0) return files.join(', ');
  if (host.fake.permits.kept(VM) !== undefined) return 'a run permit';
  if ((await host.fake.hypervisor.list()).length > 0) return 'a domain';
  return spares.size > 0 ? 'the spare of a key' : custody.left(database, []);
}

/** libvirt's hook lets nobody start a VM whose permit is of another epoch than the register. */
async function lacksPermit({ host: { fake } }: Csp): Promise<string | undefined> {
  const entry = decodeEntry((await fake.files.read(fake.ports.paths.fence(VM))) ?? Buffer.alloc(0));
  const permitted = fake.permits.kept(VM);
  return entry?.epoch === permitted ? undefined : `its register is of epoch ${entry?.epoch}, its run permit of ${permitted}`;
}

const leaseFile = z.object({ epoch: z.number(), until: z.iso.datetime() });

/** A reservation for an intent that was never answered ends by its own date; one of a move that came to something ends with it. */
async function leftReserved(
  { domain, host }: Csp,
  { moves, nowMs }: Pick<Looking, 'nowMs'> & { readonly moves: readonly MigrationState[] },
) {
  for (const path of host.fake.files.paths().filter((each) => each.startsWith('/s/leases/'))) {
    const { epoch, until } = leaseFile.parse(JSON.parse(String(await host.fake.files.read(path))));
    const answered = moves.find(
      (m) => m.target === domain && m.epoch === epoch && m.targetPhase !== 'idle' && m.targetPhase !== 'refused',
    );
    if (answered !== undefined) return `the reservation of epoch ${epoch}, which is ${answered.targetPhase}`;
    if (Date.parse(until) + HELLO_LATE_MS < nowMs) return `the reservation of epoch ${epoch}, which ended at ${until}`;
  }
  return undefined;
}
/** Reservations whose time is over go with the next hello. */
const HELLO_LATE_MS = 15_000;

/** Whatever is left of a key or of a share, wherever the VM is. */
function leftAnywhere(csp: Csp): string | undefined {
  const { hypervisor, artifacts } = csp.host.fake;
  const keys = hypervisor.secretKeys().filter((key) => !needed(csp).includes(key));
  if (keys.length > 0) return `libvirt has the secret of ${keys.join(', ')}`;
  const shares = artifacts.shared();
  return shares.length > 0 ? `it still shares the artifacts of ${shares.join(', ')}` : undefined;
}

/** Once all is quiet: somebody has the VM, and nobody else has anything of it. */
export async function leftovers(looking: Looking): Promise<Leftover | undefined> {
  const { csps, custody, running, moves, nowMs } = looking;
  const holders = csps.filter(holdsIt);
  const [holder] = holders;
  if (holder === undefined || holders.length > 1)
    return { rule: 'I2 never neither', text: `the VM is held by ${holders.length}` };
  if (!(await running(holder)))
    return { rule: 'I2 never neither', text: `${holder.domain} holds the VM, and it does not run there` };
  const unpermitted = await lacksPermit(holder);
  if (unpermitted !== undefined) return { rule: 'I2 never neither', text: `${holder.domain}: ${unpermitted}` };
  const missing = needed(holder).filter((key) => !holder.host.fake.hypervisor.secretKeys().includes(key));
  if (missing.length > 0)
    return { rule: 'lost secrets come back', text: `libvirt of ${holder.domain} has no secret of ${missing.join(', ')}` };
  for (const csp of csps) {
    const left =
      (csp === holder ? leftAtHolder(csp, custody) : await leftElsewhere(csp, custody)) ??
      leftAnywhere(csp) ??
      (await leftReserved(csp, { moves: moves(csp), nowMs }));
    if (left !== undefined) return { rule: 'I6 nothing left', text: `${csp.domain}: ${left}` };
  }
  return undefined;
}
