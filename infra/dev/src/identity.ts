import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { DevError } from './error.ts';
import { COMMAND_MS_MAX } from './limits.ts';

/** The Unix user of the first cloud; `npm run setup` creates both when it runs as root. */
export const DEFAULT_USER = 'carnet-a';

/** The Unix account a daemon runs under. `switched`: another account than this process's. */
export type Identity = {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly switched: boolean;
};

/**
 * How to start a program as a cloud's Unix user. `wrap` puts `setpriv` in front, which drops every
 * group and privilege and then execs, so the pid stays that of the program. The parent-death signal
 * makes a daemon follow even a test process that was killed with SIGKILL.
 */
export type RunAs = {
  readonly identity: Identity;
  wrap(command: readonly string[], onParentDeath?: NodeJS.Signals): readonly string[];
};

/**
 * As root: the named account (default `carnet-a`). As an ordinary user there is only one account to
 * have, so the name is not used and separation is by directory alone.
 */
export function runAs(user: string = DEFAULT_USER): RunAs {
  const identity = identityOf(user);
  return {
    identity,
    wrap: (command, onParentDeath = 'SIGKILL') => [
      'setpriv',
      `--pdeathsig=${onParentDeath.replace(/^SIG/, '')}`,
      ...(identity.switched ? [`--reuid=${identity.uid}`, `--regid=${identity.gid}`, '--clear-groups', '--no-new-privs'] : []),
      '--',
      ...command,
    ],
  };
}

/** This process's own account. */
export const asSelf = (): RunAs => runAs(userInfo().username);

function identityOf(user: string): Identity {
  const self = userInfo();
  if (self.uid !== 0) return { name: self.username, uid: self.uid, gid: self.gid, switched: false };
  const entry = accountNamed(user, readFileSync('/etc/passwd', 'utf8'));
  if (entry === undefined) {
    throw new DevError('USER_MISSING', `no Unix user ${user}; create it with: npm run setup`);
  }
  return { ...entry, switched: entry.uid !== 0 };
}

/** Finds an account in the text of passwd(5). */
export function accountNamed(name: string, passwd: string): { name: string; uid: number; gid: number } | undefined {
  for (const line of passwd.split('\n')) {
    const [entry, , uid, gid] = line.split(':');
    if (entry === name && uid !== undefined && gid !== undefined) return { name, uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/** Runs a short program as that user, in `cwd`, and returns what it printed; throws COMMAND_FAILED with its words. */
export function runOnce(as: RunAs, command: readonly string[], env: Readonly<Record<string, string>>, cwd = '/'): string {
  const [file = '', ...args] = as.wrap(command);
  const done = spawnSync(file, args, { cwd, env, encoding: 'utf8', timeout: COMMAND_MS_MAX });
  if (done.status !== 0) {
    const why = done.error?.message ?? `ended with ${done.status ?? done.signal}`;
    throw new DevError('COMMAND_FAILED', `${command.join(' ')}: ${why}\n${done.stdout ?? ''}${done.stderr ?? ''}`.trimEnd());
  }
  return done.stdout;
}
