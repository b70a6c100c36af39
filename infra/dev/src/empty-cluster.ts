import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { sha256Hex } from '@carnet/trust';
import { type RunAs, runOnce } from './identity.ts';
import { COMMAND_MS_MAX } from './limits.ts';
import { privateDir, scratch } from './scratch.ts';
import { daemonEnv, postgresTool, toolsDir } from './tools.ts';

/** `/usr/lib/postgresql/15/bin/initdb` → 15 */
const versionOf = (initdb: string): string => basename(dirname(dirname(initdb)));

/**
 * What `initdb` makes for a superuser of this name, as that identity's private directory. It is the same for everybody until it first runs, and takes
 * two seconds to make: made once, kept in `.tools`, and copied.
 */
export function copyEmptyCluster(data: string, superuser: string, as: RunAs): void {
  const initdb = postgresTool('initdb');
  const flags = ['--username', superuser, ...FLAGS];
  const kept = join(toolsDir, `postgresql-${versionOf(initdb)}-${sha256Hex(Buffer.from(flags.join(' '))).slice(0, 8)}`);
  if (!existsSync(kept)) keep(make(initdb, flags, as), kept);
  copy(kept, data);
  own(data, as.identity);
}

/** Not synced: what is kept is. */
const FLAGS = [
  '--auth-local',
  'peer',
  '--auth-host',
  'reject',
  '--encoding',
  'UTF8',
  '--locale',
  'C.UTF-8',
  '--no-sync',
] as const;

function make(initdb: string, flags: readonly string[], as: RunAs): string {
  const data = privateDir(join(scratch('initdb'), 'data'), as);
  runOnce(as, [initdb, '-D', data, ...flags], daemonEnv);
  return data;
}

/** Of several that begin at once, the first one's stays. */
function keep(made: string, kept: string): void {
  const draft = mkdtempSync(`${kept}.`);
  try {
    copy(made, join(draft, 'data'));
    // Threat: one cloud's user prepares what the other cloud's database begins with.
    own(join(draft, 'data'), userInfo());
    // Else a power loss could leave empty files there for ever.
    run('sync', ['--file-system', join(draft, 'data')]);
    renameSync(join(draft, 'data'), kept);
  } catch (cause) {
    if (!existsSync(kept)) throw cause;
  } finally {
    rmSync(draft, { recursive: true });
  }
}

const own = (dir: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void =>
  run('chown', ['-R', `${uid}:${gid}`, dir]);

const copy = (from: string, to: string): void => run('cp', ['-a', '--reflink=auto', '--no-target-directory', from, to]);

const run = (program: string, args: readonly string[]): void =>
  void execFileSync(program, args, { env: daemonEnv, timeout: COMMAND_MS_MAX });
