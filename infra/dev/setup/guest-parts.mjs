// The parts of the little guest: Debian's cloud kernel, its virtio modules and a static busybox, unpacked
// into .tools and never installed. The guest is an x86 machine under QEMU's emulation on any processor.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openPrivateApt } from './apt.mjs';
import { run } from './children.mjs';
import { SetupStopped } from './say.mjs';

/** In the order in which they must be loaded; the serial port and the TPM are built into the kernel. */
export const MODULES = ['virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci', 'virtio_blk'];

/** Which packages the parts are from; written last, so its presence means they are complete. */
const RECORD = 'parts.json';

/** @param {string} toolsDir */
export function findGuestParts(toolsDir) {
  const record = join(toolsDir, 'guest-parts', RECORD);
  return existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : undefined;
}

/** @param {{ toolsDir: string, codename: string }} options */
export async function fetchGuestParts({ toolsDir, codename }) {
  const apt = await openPrivateApt({ suites: [codename], codename, architecture: 'amd64', workDir: toolsDir });
  const fresh = join(toolsDir, `guest-parts.${process.pid}`);
  try {
    const kernel = await apt.unpack(kernelPackage(await apt.dependsOf('linux-image-cloud-amd64')));
    const busybox = await apt.unpack('busybox-static');
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    const boot = join(kernel.root, 'boot');
    copyFileSync(join(boot, only(readdirSync(boot), /^vmlinuz-/)), join(fresh, 'vmlinuz'));
    copyFileSync(
      onlyExisting([join(busybox.root, 'bin/busybox'), join(busybox.root, 'usr/bin/busybox')]),
      join(fresh, 'busybox'),
    );
    await copyModules(kernel.root, fresh);
    const record = { kernel: basename(kernel.file, '.deb'), busybox: basename(busybox.file, '.deb'), modules: MODULES };
    writeFileSync(join(fresh, RECORD), `${JSON.stringify(record, undefined, 2)}\n`);
    rmSync(join(toolsDir, 'guest-parts'), { recursive: true, force: true });
    renameSync(fresh, join(toolsDir, 'guest-parts'));
    return record;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
    apt.close();
  }
}

/** The versioned package behind the metapackage. @param {string} depends output of `apt-cache depends` */
export function kernelPackage(depends) {
  const match = /Depends: (linux-image-\S+-cloud-amd64)$/m.exec(depends);
  if (match === null) throw new SetupStopped('setup: linux-image-cloud-amd64 names no kernel package');
  return match[1];
}

/** Debian 13 compresses kernel modules; busybox cannot load those. */
async function copyModules(root, to) {
  const tree = existsSync(join(root, 'lib/modules')) ? join(root, 'lib/modules') : join(root, 'usr/lib/modules');
  const all = readdirSync(tree, { recursive: true, encoding: 'utf8' });
  for (const module of MODULES) {
    const path = only(all, new RegExp(`(^|/)${module}\\.ko(\\.xz)?$`));
    const copy = join(to, basename(path));
    copyFileSync(join(tree, path), copy);
    if (copy.endsWith('.xz')) await run(['xz', '--decompress', copy]);
  }
}

function only(names, pattern) {
  const found = names.filter((name) => pattern.test(name));
  if (found.length !== 1)
    throw new SetupStopped(`setup: expected one file like ${pattern} in the kernel package, found ${found.length}`);
  return found[0];
}

function onlyExisting(paths) {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new SetupStopped('setup: no busybox in the package busybox-static');
  return found;
}
