import { readdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KILL_MS_MAX } from './limits.ts';
import { goneBlocking, isRunning, processesUnder, signalQuietly } from './processes.ts';

/** statfs(2) f_type of tmpfs, on which QEMU's O_DIRECT disks may not open. */
const TMPFS_MAGIC = 0x01021994;
const OWNER_FILE = '.owner';

/** Where scratch directories are made: short, open to every user, on a real disk. */
export function scratchBase(): string {
  return statfsSync('/tmp').type === TMPFS_MAGIC ? '/var/tmp' : '/tmp';
}

/** Leaves this process's mark in a scratch directory. */
export function markAsOurs(dir: string): void {
  writeFileSync(join(dir, OWNER_FILE), ownerMark(process.pid), { mode: 0o600 });
}

/**
 * Removes the scratch directories of processes that are no more, and ends what still runs in them: QEMU detaches
 * from libvirtd and outlives it. Touches only directories of this account whose owner is certainly gone.
 */
export function sweepAbandoned(): void {
  const base = scratchBase();
  for (const name of readdirSync(base)) {
    const dir = join(base, name);
    if (!/^carnet-[a-z0-9]+-\w{6}$/.test(name) || !isAbandoned(dir)) continue;
    const running = processesUnder(dir);
    for (const { pid } of running) signalQuietly(pid, 'SIGKILL');
    for (const { pid } of running) goneBlocking(pid, KILL_MS_MAX);
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

function isAbandoned(dir: string): boolean {
  try {
    if (statSync(dir).uid !== process.getuid?.()) return false;
    const mark = readFileSync(join(dir, OWNER_FILE), 'utf8');
    const pid = Number.parseInt(mark, 10);
    return !isRunning(pid) || ownerMark(pid) !== mark;
  } catch {
    // Just being made or just being removed by its owner.
    return false;
  }
}

/** A pid alone may be reused; with its start time (proc(5) stat, field 22) it is unique until the next boot. */
function ownerMark(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const startTicks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return `${pid} ${startTicks}\n`;
}
