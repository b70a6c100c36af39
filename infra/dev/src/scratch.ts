import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markAsOurs, scratchBase } from './abandoned.ts';
import { DevError } from './error.ts';
import { type RunAs, runAs } from './identity.ts';
import { hireJanitor } from './janitor.ts';
import { SCRATCH_PATH_BYTES_MAX } from './limits.ts';
import { hold } from './registry.ts';

/**
 * A directory with a short path (unix sockets!) that both clouds' users can pass through but not list;
 * what lies in it belongs to its maker. Removed when this process ends, however it ends: after SIGKILL by
 * the janitor, which also ends what still runs in it.
 */
export function scratch(prefix: string): string {
  if (!/^[a-z][a-z0-9]{0,7}$/.test(prefix))
    throw new DevError('NAME_INVALID', `scratch prefix ${prefix}: 1 to 8 letters or digits`);
  hireJanitor();
  const dir = mkdtempSync(join(scratchBase(), `carnet-${prefix}-`));
  if (Buffer.byteLength(dir) > SCRATCH_PATH_BYTES_MAX) {
    rmSync(dir, { recursive: true });
    throw new DevError('PATH_TOO_LONG', `${dir} is longer than ${SCRATCH_PATH_BYTES_MAX} bytes`);
  }
  markAsOurs(dir);
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
