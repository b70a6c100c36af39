import { keysOf, type VmId } from '@carnet/events';
import { vmConsumer } from '@carnet/keys';
import { restrictionsOf } from '@carnet/policy';
import type { HeldVm } from '../inventory.ts';
import { DEK_VERSION, granted } from '../keys/handover-keys.ts';
import { inTransaction } from '../keys/new-dek.ts';
import { type MachinePorts, perform } from './machines.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/**
 * Alone with the VM: whoever places it on hold, or asks for a move, is told that it is being decided about, or finds it gone. Threat: a
 * hold that was granted meanwhile, and the keys are destroyed nevertheless.
 */
export async function deleteVm(ports: MachinePorts, vm: VmId, principal: string): Promise<ServiceResult<{ readonly vm: VmId }>> {
  const done = await ports.alone(vm, (signal) => deleteAlone(ports, vm, principal, signal));
  return done.held ? done.value : refuse('VM_MOVING', `somebody else decides about ${vm}`);
}

async function deleteAlone(
  ports: MachinePorts,
  vm: VmId,
  principal: string,
  signal: AbortSignal,
): Promise<ServiceResult<{ readonly vm: VmId }>> {
  const held = await ports.inventory.vm(vm);
  if (held === undefined) return refuse('VM_UNKNOWN', `${vm} is not held by ${ports.self}`);
  if (await ports.isMoving(vm)) return refuse('VM_MOVING', `${vm} is in a migration that has not ended`);
  if (restrictionsOf(held.spec).legalHold) return refuse('LEGAL_HOLD', `${vm} is on legal hold`);
  const needed = await whoElseNeeds(ports, held);
  if (needed !== undefined) return needed;
  const lost = async (): Promise<ServiceRefusal | undefined> =>
    signal.aborted ? refuse('VM_MOVING', 'the right to decide about the VM was lost with a database connection') : undefined;
  return (await lost()) ?? removeVm(ports, held, { principal, reason: `VM ${vm} deleted` }, { forbidden: lost });
}

type Removed = { readonly principal: string; readonly reason: string };
type Asking = { readonly withinMs?: number; readonly forbidden?: () => Promise<ServiceRefusal | undefined> };

/**
 * The host shreds it, then its keys are destroyed and it leaves the books. Asked again, the rest is done. Threat: the right to decide is lost while a
 * silent host is asked, and the VM is placed on hold elsewhere: nothing more is asked for then, and the keys of what is on hold stay.
 */
export async function removeVm(
  ports: MachinePorts,
  held: HeldVm,
  by: Removed,
  { withinMs, forbidden }: Asking = {},
): Promise<ServiceResult<{ readonly vm: VmId }>> {
  const gone = await perform(
    ports,
    { step: 'deleteVm', host: held.host, vm: held.vm, body: {} },
    'deleteVm',
    withinMs,
    forbidden,
  );
  if (!gone.ok) return gone;
  const now = await ports.inventory.vm(held.vm);
  if (now !== undefined && restrictionsOf(now.spec).legalHold)
    return refuse('LEGAL_HOLD', `${held.vm} was placed on legal hold meanwhile: its keys stay`);
  await forgetVm(ports, held, by);
  return { ok: true, value: { vm: held.vm } };
}

/** Its keys are destroyed and it leaves the books, in one transaction: of a VM of which no host has anything. */
export async function forgetVm(ports: MachinePorts, { vm, spec }: HeldVm, { principal, reason }: Removed): Promise<void> {
  const destroy = { verb: 'destroy', principal, reason, code: 'cessation-of-operation', signer: ports.signer() } as const;
  await inTransaction(ports.store, async (tx) => {
    for (const key of keysOf(spec)) {
      await ports.keys.removeConsumer(tx, key, vmConsumer(vm));
      granted(await ports.keys.operate(tx, { key, version: DEK_VERSION, ...destroy }));
    }
    await ports.inventory.remove(tx, vm);
  });
}

/** Asked before the host shreds anything: keys that somebody else needs are not destroyed. */
async function whoElseNeeds({ keys }: MachinePorts, { vm, spec }: HeldVm): Promise<ServiceRefusal | undefined> {
  const needed = [...(await keys.consumersOf(keysOf(spec)))];
  const others = needed.flatMap(([key, consumers]) =>
    consumers.filter((one) => one !== vmConsumer(vm)).map((one) => `${one} needs ${key}`),
  );
  return others.length === 0 ? undefined : refuse('KEY_IN_USE', others.join(', '));
}
