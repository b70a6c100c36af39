import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type CpioEntry, packCpio } from './cpio.ts';
import { DevError } from './error.ts';
import { repositoryRoot, toolsDir } from './tools.ts';

/** A kernel and an initramfs that boot in seconds under emulation and tick every 130 ms. */
export type Guest = {
  readonly kernel: string;
  readonly initrd: string;
  /** Lowercase hex. */
  readonly kernelSha256: string;
  readonly initrdSha256: string;
  /** For the domain's `<cmdline>`. */
  readonly commandLine: string;
};

const COMMAND_LINE = 'console=ttyS0 quiet panic=-1';

/**
 * Writes the guest's two files into `dir`, readable by every host's user. On its console and in the first
 * sector of its disk it says `TICK boot=<uuid> n=<count> up=<seconds>`, after a boot also `PREV-DISK [<that sector>]`.
 */
export function buildGuest({ dir }: { readonly dir: string }): Guest {
  const parts = join(toolsDir, 'guest-parts');
  const record = join(parts, 'parts.json');
  if (!existsSync(record))
    throw new DevError('TOOL_MISSING', 'the parts of the test guest are not there; get them with: npm run setup');
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o755);
  const put = (name: string, content: Uint8Array): string => {
    writeFileSync(join(dir, name), content);
    chmodSync(join(dir, name), 0o644);
    return join(dir, name);
  };
  const kernel = readFileSync(join(parts, 'vmlinuz'));
  const initrd = gzipSync(packCpio(initramfs(parts, modulesIn(readFileSync(record, 'utf8')))));
  return {
    kernel: put('vmlinuz', kernel),
    initrd: put('initrd.gz', initrd),
    kernelSha256: sha256(kernel),
    initrdSha256: sha256(initrd),
    commandLine: COMMAND_LINE,
  };
}

function initramfs(parts: string, modules: readonly string[]): readonly CpioEntry[] {
  const directories = ['bin', 'dev', 'lib', 'proc', 'sys'].map((path) => ({ kind: 'directory', path }) as const);
  const file = (path: string, mode: number, content: Uint8Array): CpioEntry => ({ kind: 'file', path, mode, content });
  return [
    ...directories,
    // Without it the kernel starts init with no stdout, and the guest would be silent.
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    file('init', 0o755, readFileSync(join(repositoryRoot, 'infra', 'dev', 'guest', 'init.sh'))),
    file('bin/busybox', 0o755, readFileSync(join(parts, 'busybox'))),
    file('lib/modules.order', 0o644, Buffer.from(`${modules.join('\n')}\n`)),
    ...modules.map((name) => file(`lib/${name}.ko`, 0o644, readFileSync(join(parts, `${name}.ko`)))),
  ];
}

function modulesIn(record: string): readonly string[] {
  const parsed: unknown = JSON.parse(record);
  if (typeof parsed === 'object' && parsed !== null && 'modules' in parsed && Array.isArray(parsed.modules)) {
    return parsed.modules.map(String);
  }
  throw new DevError('TOOL_MISSING', 'the record of the test guest is damaged; remove .tools/guest-parts and run: npm run setup');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
