import { accessSync, constants, copyFileSync, existsSync, readdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DevError } from './error.ts';
import { type RunAs, runOnce } from './identity.ts';
import { scratch } from './scratch.ts';

/** The root of this clone. */
export const repositoryRoot = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** Where `npm run setup` puts what it does not install into the system. */
export const toolsDir = join(repositoryRoot, '.tools');

/** Daemons live in sbin, which an ordinary user's PATH may lack. */
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;

/** What every daemon gets as its environment, and nothing of ours: a token in the caller's environment stays there. */
export const daemonEnv: Readonly<Record<string, string>> = { PATH: SYSTEM_PATH.join(delimiter), LC_ALL: 'C.UTF-8' };

/** The path of an installed program; the error says how to get it. */
export function systemTool(name: string): string {
  const callers = (process.env['PATH'] ?? '').split(delimiter);
  const found = [...SYSTEM_PATH, ...callers].map((dir) => join(dir, name)).find(isExecutable);
  if (found === undefined) throw missing(name);
  return found;
}

/** Debian keeps PostgreSQL's server programs out of PATH, one folder per major version: the newest wins. */
export function postgresTool(name: string): string {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).map(Number).filter(Number.isInteger) : [];
  const found = versions
    .sort((a, b) => b - a)
    .map((version) => join(base, String(version), 'bin', name))
    .find(isExecutable);
  if (found === undefined) throw missing(`PostgreSQL's ${name}`);
  return found;
}

/** The nats-server that `npm run setup` chose: its own in `.tools`, else the one on PATH it found new enough. */
export function natsServer(as: RunAs): string {
  const own = join(toolsDir, 'nats', 'nats-server');
  return reachable(isExecutable(own) ? own : systemTool('nats-server'), as);
}

let staging: string | undefined;

/** `file` itself if that user can run it, else a copy it can: the clone may lie below a mode-700 home. */
function reachable(file: string, as: RunAs): string {
  if (canRun(file, as)) return file;
  staging ??= scratch('bin');
  const copy = join(staging, file.replaceAll('/', '_'));
  if (!existsSync(copy)) copyFileSync(file, copy);
  return copy;
}

function canRun(file: string, as: RunAs): boolean {
  if (!as.identity.switched) return true;
  try {
    runOnce(as, ['test', '-x', file], daemonEnv);
    return true;
  } catch (cause) {
    if (cause instanceof DevError) return false;
    throw cause;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function missing(what: string): DevError {
  return new DevError('TOOL_MISSING', `${what} is not installed; install it with: npm run setup`);
}
