import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunAs, runAs } from './identity.ts';
import { COMMAND_MS_MAX } from './limits.ts';
import { scratch } from './scratch.ts';
import { daemonEnv, repositoryRoot } from './tools.ts';

/** Where a cloud's user can run the apps from. */
export type StagedCode = {
  /** Has `libs`, `apps`, `infra`, `schemas`, `dist`, `package.json` and `node_modules`. */
  readonly root: string;
  /** Node 24. */
  readonly node: string;
};

export type StageOptions = {
  readonly user?: string;
  /** The clone; default: this one. */
  readonly from?: string;
};

/**
 * The clone itself when that user can read all of it, else a copy that everybody can read: a clone in a private
 * (mode 700) home or made under umask 077 is closed to the unprivileged users. Development packages stay behind.
 */
export function stageCode({ user, from = repositoryRoot }: StageOptions = {}): StagedCode {
  const paths = runtimePaths(from);
  if (canRead(from, paths, runAs(user))) return at(from);
  const root = join(scratch('code'), 'carnet');
  mkdirSync(root);
  execFileSync('cp', ['-a', '--parents', '--reflink=auto', ...paths, root], { cwd: from });
  // X: executable for all where it is for its owner, which keeps plain files plain.
  execFileSync('chmod', ['-R', 'a+rX', root]);
  return at(root);
}

function at(root: string): StagedCode {
  return { root, node: join(root, 'node_modules', '.bin', 'node') };
}

/** What the apps need at run time, relative to the clone: our code, and of node_modules what the lock file does not call `dev`. */
function runtimePaths(from: string): readonly string[] {
  const code = ['package.json', 'package-lock.json', 'libs', 'apps', 'infra', 'schemas', 'dist'];
  const packages = runtimePackages(readFileSync(join(from, 'package-lock.json'), 'utf8'));
  return [...code, ...packages, 'node_modules/.bin/node'].filter((path) => existsSync(join(from, path)));
}

/** Top-level folders of node_modules; what is nested comes along with its parent. */
export function runtimePackages(lockText: string): readonly string[] {
  const lock: unknown = JSON.parse(lockText);
  if (typeof lock !== 'object' || lock === null || !('packages' in lock) || typeof lock.packages !== 'object') return [];
  return Object.entries(lock.packages ?? {})
    .filter(([path, entry]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !isDevelopment(entry))
    .map(([path]) => path);
}

function isDevelopment(entry: unknown): boolean {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    (('dev' in entry && entry.dev === true) || ('devOptional' in entry && entry.devOptional === true))
  );
}

/** Asks the kernel, as that user, for every file: modes of parents, ACLs and mounts then need no second guess. */
function canRead(from: string, paths: readonly string[], as: RunAs): boolean {
  if (!as.identity.switched) return true;
  const unreadable = ['(', '!', '-readable', '-o', '-type', 'd', '!', '-executable', ')', '-print', '-quit'];
  const roots = paths.map((path) => join(from, path));
  const [file = '', ...args] = as.wrap(['find', ...roots, ...unreadable]);
  const found = spawnSync(file, args, { cwd: '/', env: daemonEnv, encoding: 'utf8', timeout: COMMAND_MS_MAX });
  return found.status === 0 && found.stdout === '';
}
