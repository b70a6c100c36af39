import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { RunAs } from './identity.ts';
import { own, privateDir } from './scratch.ts';
import { toolsDir } from './tools.ts';

/**
 * libvirtd asks each QEMU binary what it can do, four seconds under load, and caches the answers under
 * XDG_CACHE_HOME. Every test host has a fresh one, so the answers are carried from host to host.
 * libvirt itself checks the binaries' times and its own version in them and asks again if they differ.
 */
const store = join(toolsDir, 'libvirt-capabilities');
const CACHE_PATH = ['libvirt', 'qemu', 'cache', 'capabilities'] as const;

export function restoreCapabilities(cacheDir: string, as: RunAs): void {
  let dir = cacheDir;
  for (const name of CACHE_PATH) dir = privateDir(join(dir, name), as);
  for (const name of listed(store)) {
    const copy = join(dir, name);
    copyFileSync(join(store, name), copy);
    own(copy, as);
  }
}

export function saveCapabilities(cacheDir: string): void {
  const from = join(cacheDir, ...CACHE_PATH);
  const fresh = listed(from).filter((name) => !isStored(from, name));
  if (fresh.length > 0) mkdirSync(store, { recursive: true });
  for (const name of fresh) {
    // Renamed into place: another test may be reading.
    const partial = join(store, `${name}.${process.pid}`);
    copyFileSync(join(from, name), partial);
    renameSync(partial, join(store, name));
  }
}

/** Compared by content: libvirtd overwrites an answer it no longer believes. */
function isStored(from: string, name: string): boolean {
  const stored = join(store, name);
  return existsSync(stored) && readFileSync(stored).equals(readFileSync(join(from, name)));
}

/** Plain files only: the host's user wrote them, and root must not follow a link of its making. */
function listed(dir: string): readonly string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.xml'))
    .map((entry) => entry.name);
}
