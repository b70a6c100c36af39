import { type KeyId, keysOf, type VmId, type VmSpec } from '@carnet/events';
import { locateBoot } from '../boot-catalogue.ts';
import { failed, HostError, type Setback } from '../codes.ts';
import type { VmState } from '../command/result.ts';
import { uuidOf } from '../host-paths.ts';
import { POLL_MS, SAVE_MS_MAX } from '../limits.ts';
import { done, type Outcome } from '../outcome.ts';
import type { DomainDefinition } from '../ports/hypervisor.ts';
import type { StepContext } from './step.ts';

/** A VM's definition with this host's paths. */
export async function definitionOf({ ports }: StepContext, vm: VmId, spec: VmSpec): Promise<Outcome<DomainDefinition>> {
  const boot = await locateBoot(ports.files, ports.paths, spec.boot);
  if (!boot.ok) return boot;
  return done({
    vm,
    uuid: uuidOf(vm),
    spec,
    boot: boot.value,
    disks: spec.disks.map(({ artifact, target, key }) => ({ target, key, path: ports.paths.volume(vm, artifact) })),
    ...(spec.tpm === undefined ? {} : { vtpm: { key: spec.tpm.key, statePath: ports.paths.vtpmState(vm) } }),
    consolePath: ports.paths.console(vm),
  });
}

export const stateOf = async ({ ports }: StepContext, vm: VmId): Promise<VmState> =>
  (await ports.hypervisor.find(uuidOf(vm)))?.state ?? 'absent';

/** Off: no process holds its disks. `paused` is not off: one call lets it run. */
export const isOff = (state: VmState): boolean => state === 'shutoff' || state === 'absent' || state === 'crashed';

export async function provideSecrets(
  { ports }: StepContext,
  vm: VmId,
  passphrases: ReadonlyMap<KeyId, Uint8Array>,
): Promise<void> {
  for (const [key, value] of passphrases) await ports.hypervisor.putSecret({ key, value, description: `carnet ${vm}` });
}

export async function dropSecrets({ ports }: StepContext, keys: readonly KeyId[]): Promise<void> {
  for (const key of keys) await ports.hypervisor.dropSecret(key);
}

/** Of a VM of which nothing is recorded, libvirt has no keys. */
export const recordedKeys = (spec: VmSpec | undefined): readonly KeyId[] => (spec === undefined ? [] : keysOf(spec));

/** How many of them libvirt still has, as it says itself. */
export async function secretsLeft({ ports }: StepContext, keys: readonly KeyId[]): Promise<number> {
  const left = await Promise.all(keys.map((key) => ports.hypervisor.hasSecret(key)));
  return left.filter(Boolean).length;
}

/** Waits until `until` holds, at most so long. Returns whether it came to hold. */
export async function waitFor({ ports, signal }: StepContext, withinMs: number, until: () => Promise<boolean>): Promise<boolean> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    if (await until()) return true;
    if (waitedMs >= withinMs) return false;
    if (signal.aborted) throw new HostError(failed('STEP_ABORTED'));
    await ports.clock.sleep(POLL_MS, signal);
  }
}

/**
 * Lets a held VM run. The last effect of every start: clear memory of a restore is gone before the first instruction, also
 * when an earlier attempt crashed between the restore and its own clean-up. Running already is done.
 */
export async function letRun(context: StepContext, vm: VmId): Promise<void> {
  const { files, paths, hypervisor } = context.ports;
  await files.remove(paths.clearMemory(vm));
  if ((await stateOf(context, vm)) === 'paused') await hypervisor.unpause(uuidOf(vm));
}

export type Insisting = {
  readonly times: number;
  readonly pauseMs: number;
  /** Looked at before each attempt and after the last: an attempt that failed may have done it all the same. */
  readonly isDone: () => Promise<boolean>;
  readonly act: () => Promise<void>;
};

/** Asks libvirt again for what it refused: its last refusal, if it has refused every time. Other accidents are thrown. */
export async function insist(
  { ports, signal }: StepContext,
  { times, pauseMs, isDone, act }: Insisting,
): Promise<Setback | undefined> {
  let last: Setback | undefined;
  for (let tries = 0; tries < times; tries += 1) {
    if (last !== undefined) await ports.clock.sleep(pauseMs, signal);
    if (await isDone()) return undefined;
    try {
      await act();
      return undefined;
    } catch (cause) {
      if (!(cause instanceof HostError) || cause.setback.code !== 'LIBVIRT_FAILED') throw cause;
      ports.log.warn({ tries: tries + 1, err: cause }, 'libvirt refuses');
      last = cause.setback;
    }
  }
  return (await isDone()) ? undefined : last;
}

/** What an agent that died in the middle of a start may have left there of the VM. */
export async function clearTmpfs({ ports: { files, paths } }: StepContext, vm: VmId): Promise<void> {
  await files.remove(paths.clearMemory(vm));
  await files.remove(paths.startTicket(vm));
}

/** A save that an agent began before it crashed goes on without it: its file must not be pulled from under libvirt. */
export async function savesStill(context: StepContext, vm: VmId): Promise<Setback | undefined> {
  const { hypervisor } = context.ports;
  const isOver = await waitFor(context, SAVE_MS_MAX, async () => (await hypervisor.find(uuidOf(vm)))?.reason !== 'save');
  return isOver ? undefined : failed('LIBVIRT_FAILED', 'A save is under way.');
}

export type Stopped = { readonly forced: boolean };

/** Asks the guest to shut down, then cuts its power. A VM that is off already is fine. */
export async function stopDomain(context: StepContext, vm: VmId, graceSeconds: number): Promise<Stopped> {
  const { hypervisor } = context.ports;
  const uuid = uuidOf(vm);
  const off = async (): Promise<boolean> => isOff(await stateOf(context, vm));
  if (await off()) return { forced: false };
  if (graceSeconds > 0) {
    await hypervisor.requestShutdown(uuid);
    if (await waitFor(context, graceSeconds * 1_000, off)) return { forced: false };
  }
  await hypervisor.powerOff(uuid);
  return { forced: true };
}

/** Guards each disk's header, then opens it with its key: a typed answer in place of a start that fails. */
export async function unlockDisks(
  { ports }: StepContext,
  disks: readonly { readonly path: string; readonly key: KeyId }[],
  passphrases: ReadonlyMap<KeyId, Uint8Array>,
): Promise<Setback | undefined> {
  for (const { path, key } of disks) {
    const header = await ports.artifacts.guard(path);
    if (!header.ok) return header.setback;
    const opened = await ports.volumes.unlock(path, passphrases.get(key) ?? new Uint8Array());
    if (!opened.ok) return opened.setback;
  }
  return undefined;
}
