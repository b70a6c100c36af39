import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { RunAs } from './identity.ts';
import { own, privateDir } from './scratch.ts';
import { toolsDir } from './tools.ts';

/**
 * libvirtd asks each QEMU binary what it can do, four seconds under load, and caches the answer under
 * XDG_CACHE_HOME. Every test host has a fresh one, so the answers are carried from host to host.
 * libvirt itself checks the binaries' times and its own version in them and asks again if they differ.
 */
const store = join(toolsDir, 'libvirt-capabilities');

export function restoreCapabilities(cacheDir: string, as: RunAs): void {
  const [libvirt, qemu, capabilities] = ['libvirt', 'libvirt/qemu', 'libvirt/qemu/capabilities'].map((name) =>
    privateDir(join(cacheDir, name), as),
  );
  if (libvirt === undefined || qemu === undefined || capabilities === undefined) return;
  for (const name of listed(store)) {
    const copy = join(capabilities, name);
    copyFileSync(join(store, name), copy);
    own(copy, as);
  }
}

export function saveCapabilities(cacheDir: string): void {
  const from = join(cacheDir, 'libvirt', 'qemu', 'capabilities');
  const fresh = listed(from).filter((name) => !existsSync(join(store, name)));
  if (fresh.length === 0) return;
  mkdirSync(store, { recursive: true });
  for (const name of fresh) {
    const partial = join(store, `.${process.pid}-${name}`);
    copyFileSync(join(from, name), partial);
    renameSync(partial, join(store, name));
  }
}

function listed(dir: string): readonly string[] {
  return existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith('.xml')) : [];
}
