import { join } from 'node:path';
import type { Digest, VmBoot } from '@carnet/events';
import { refused } from './codes.ts';
import { sha256 } from './digest.ts';
import type { HostPaths } from './host-paths.ts';
import { done, type Outcome, setBack } from './outcome.ts';
import type { HostFiles } from './ports/files.ts';
import type { DomainDefinition } from './ports/hypervisor.ts';

/** Kernels and initrds are named by their SHA-256 and checked at each use: the event names content, not a host's file. */
async function bootFile(files: HostFiles, paths: HostPaths, name: Digest): Promise<Outcome<string>> {
  const path = join(paths.bootDir, name);
  const bytes = await files.read(path);
  if (bytes === undefined) return setBack(refused('BOOT_IMAGE_UNKNOWN', `(${name.slice(0, 12)}…)`));
  return sha256(bytes) === name ? done(path) : setBack(refused('BOOT_IMAGE_TAMPERED', `(${name.slice(0, 12)}…)`));
}

/** A VM's way to boot, on this host's own files. */
export async function locateBoot(files: HostFiles, paths: HostPaths, boot: VmBoot): Promise<Outcome<DomainDefinition['boot']>> {
  if (boot.kind === 'disk') return done({ kind: 'disk' });
  const kernel = await bootFile(files, paths, boot.kernel);
  if (!kernel.ok) return kernel;
  const initrd = await bootFile(files, paths, boot.initrd);
  if (!initrd.ok) return initrd;
  return done({ kind: 'kernel', kernelPath: kernel.value, initrdPath: initrd.value, cmdline: boot.cmdline });
}
