import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type RunAs, runOnce } from './identity.ts';
import { own } from './scratch.ts';
import { daemonEnv } from './tools.ts';

/** Where libvirtd looks for hooks, whoever runs it: built in, so that two clouds of one machine need a place each. */
const HOOKS = '/etc/libvirt/hooks';

/** Puts a hook into the folder that it is given. Run as the host's user, before libvirtd, which looks for hooks when it starts. */
export type HookInstaller = (dir: string) => readonly string[];

export type HostHooks = {
  /** The folder that this host's libvirtd, and no other's, finds at its built-in place. */
  readonly dir: string;
  /** Runs libvirtd as that user, in a mount namespace where the folder lies at that place. */
  readonly as: RunAs;
};

/**
 * A hooks folder of its own for one libvirtd. It takes root to mount it: an ordinary user's hosts run without hooks, and
 * `undefined` says so.
 */
export function prepareHooks(root: string, as: RunAs, installer: HookInstaller): HostHooks | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const dir = join(root, 'hooks');
  mkdirSync(dir, { recursive: true });
  own(dir, as);
  chmodSync(dir, 0o755);
  runOnce(as, installer(dir), daemonEnv);
  // An empty folder to mount on: nothing is ever written to it.
  if (!existsSync(HOOKS)) mkdirSync(HOOKS, { recursive: true });
  const mounted = 'mount --bind "$0" "$1" && shift && exec "$@"';
  return {
    dir,
    as: {
      identity: as.identity,
      wrap: (command, onParentDeath) => ['unshare', '-m', 'sh', '-c', mounted, dir, HOOKS, ...as.wrap(command, onParentDeath)],
    },
  };
}
