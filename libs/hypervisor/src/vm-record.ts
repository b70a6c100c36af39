import { type VmId, type VmSpec, vmId, vmSpec } from '@carnet/events';
import { z } from 'zod';
import type { HostPaths } from './host-paths.ts';
import type { HostFiles } from './ports/files.ts';

/** A VM that lives on this host, as it was created or as it arrived. The fence register, not this, says who may run it. */
const vmRecord = z.strictObject({ v: z.literal(1), vm: vmId, spec: vmSpec }).readonly();

export async function readVm(files: HostFiles, paths: HostPaths, vm: VmId): Promise<VmSpec | undefined> {
  const found = await readRecord(files, paths.spec(vm));
  return found?.vm === vm ? found.spec : undefined;
}

export const writeVm = (files: HostFiles, paths: HostPaths, vm: VmId, spec: VmSpec): Promise<void> =>
  files.write(paths.spec(vm), Buffer.from(`${JSON.stringify({ v: 1, vm, spec })}\n`));

/** All VMs of this host; unreadable records are left out, and their VMs are then unknown here. */
export async function listVms(
  files: HostFiles,
  paths: HostPaths,
): Promise<readonly { readonly vm: VmId; readonly spec: VmSpec }[]> {
  const names = await files.list(paths.specDir);
  const records = await Promise.all(
    names.filter((n) => n.endsWith('.json')).map((n) => readRecord(files, `${paths.specDir}/${n}`)),
  );
  return records.flatMap((record) => (record === undefined ? [] : [{ vm: record.vm, spec: record.spec }]));
}

/** libvirt's names are unique on a host, and a saved guest keeps its name: a clash is found before anything is promised. */
export async function isNameTaken(files: HostFiles, paths: HostPaths, vm: VmId, name: string): Promise<boolean> {
  return (await listVms(files, paths)).some((other) => other.vm !== vm && other.spec.name === name);
}

async function readRecord(files: HostFiles, path: string): Promise<z.infer<typeof vmRecord> | undefined> {
  const bytes = await files.read(path);
  if (bytes === undefined) return undefined;
  try {
    return vmRecord.safeParse(JSON.parse(bytes.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
