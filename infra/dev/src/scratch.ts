import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DevError } from './error.ts';
import { type RunAs, runAs } from './identity.ts';
import { SCRATCH_PATH_BYTES_MAX } from './limits.ts';
import { isRunning, processesUnder, signalQuietly } from './processes.ts';
import { hold } from './registry.ts';

/** statfs(2) f_type of tmpfs, on which QEMU's O_DIRECT disks may not open. */
const TMPFS_MAGIC = 0x01021994;
const OWNER_FILE = '.owner';

/**
 * A directory with a short path (unix sockets!) that both clouds' users can pass through but not list;
 * what lies in it belongs to its maker. Removed when this process ends, however it ends: one that
 * was killed with SIGKILL is swept up by the next `scratch`.
 */
export function scratch(prefix: string): string {
  if (!/^[a-z][a-z0-9]{0,7}$/.test(prefix))
    throw new DevError('NAME_INVALID', `scratch prefix ${prefix}: 1 to 8 letters or digits`);
  const base = diskBackedBase();
  sweepAbandoned(base);
  const dir = mkdtempSync(join(base, `carnet-${prefix}-`));
  if (Buffer.byteLength(dir) > SCRATCH_PATH_BYTES_MAX) {
    rmSync(dir, { recursive: true });
    throw new DevError('PATH_TOO_LONG', `${dir} is longer than ${SCRATCH_PATH_BYTES_MAX} bytes`);
  }
  writeFileSync(join(dir, OWNER_FILE), ownerMark(process.pid), { mode: 0o600 });
  chmodSync(dir, 0o711);
  const remove = (): void => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  hold({ name: dir, stop: async () => remove(), stopBlocking: remove });
  return dir;
}

/** Makes `dir` the private (0700) directory of that identity; parents must exist. */
export function privateDir(dir: string, as: RunAs = runAs()): string {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
  own(dir, as);
  return dir;
}

/** Writes a file that only that identity can read. */
export function privateFile(path: string, text: string, as: RunAs): void {
  writeFileSync(path, text, { mode: 0o600 });
  own(path, as);
}

export function own(path: string, { identity }: RunAs): void {
  if (identity.switched) chownSync(path, identity.uid, identity.gid);
}

function diskBackedBase(): string {
  return statfsSync('/tmp').type === TMPFS_MAGIC ? '/var/tmp' : '/tmp';
}

/** Ends and removes what a process killed with SIGKILL could not; only directories of this account's own making. */
function sweepAbandoned(base: string): void {
  for (const name of readdirSync(base)) {
    const dir = join(base, name);
    if (!/^carnet-[a-z0-9]+-\w{6}$/.test(name) || !isAbandoned(dir)) continue;
    for (const { pid } of processesUnder(dir)) signalQuietly(pid, 'SIGKILL');
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
