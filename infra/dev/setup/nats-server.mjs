// A recent nats-server in .tools: Debian 12's own is too old, Debian testing's runs on it.
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openPrivateApt, warn } from './apt.mjs';
import { ask } from './children.mjs';
import { isAtLeast, missingFeatures, NATS_BEARABLE, NATS_WANTED, parseNatsVersion } from './nats-version.mjs';
import { SetupStopped } from './say.mjs';

/** @param {string} file */
function versionOf(file) {
  const asked = ask([file, '--version']);
  return asked?.ok ? parseNatsVersion(asked.out) : undefined;
}

/**
 * The one in .tools (even the bearable fallback, so that a second run is quick), else one on PATH that is new enough.
 * @param {string} toolsDir
 * @param {readonly number[]} oldest what to accept in .tools
 */
export function findNatsServer(toolsDir, oldest = NATS_BEARABLE) {
  const own = join(toolsDir, 'nats', 'nats-server');
  if (existsSync(own)) {
    const version = versionOf(own);
    if (isAtLeast(version, oldest)) return { file: own, version };
  }
  const version = versionOf('nats-server');
  return isAtLeast(version, NATS_WANTED) ? { file: 'nats-server', version } : undefined;
}

/** @param {{ toolsDir: string, codename: string }} options */
export async function fetchNatsServer({ toolsDir, codename }) {
  const file = join(toolsDir, 'nats', 'nats-server');
  const version =
    (await fetchFrom({ suite: 'testing', oldest: NATS_WANTED, toolsDir, codename, file })) ??
    (await fetchFrom({ suite: 'trixie', oldest: NATS_BEARABLE, toolsDir, codename, file }));
  if (version === undefined) throw new SetupStopped('setup: neither Debian testing nor trixie has a nats-server that runs here');
  if (!isAtLeast(version, NATS_WANTED)) {
    warn(
      `nats-server ${version.join('.')} is older than ${NATS_WANTED.join('.')}: without ${missingFeatures(version).join(', ')}`,
    );
  }
  return { file, version };
}

/** Puts the suite's server in place if it runs here and is new enough; returns its version. */
async function fetchFrom({ suite, oldest, toolsDir, codename, file }) {
  const apt = await openPrivateApt({ suites: [suite], codename, workDir: toolsDir });
  try {
    const { root } = await apt.unpack('nats-server');
    const unpacked = join(root, 'usr', 'sbin', 'nats-server');
    const version = existsSync(unpacked) ? versionOf(unpacked) : undefined;
    if (!isAtLeast(version, oldest)) {
      warn(`the nats-server of Debian ${suite} will not do: ${version?.join('.') ?? 'it does not run here'}`);
      return undefined;
    }
    mkdirSync(dirname(file), { recursive: true });
    copyFileSync(unpacked, `${file}.new`);
    chmodSync(`${file}.new`, 0o755);
    renameSync(`${file}.new`, file);
    return version;
  } finally {
    apt.close();
  }
}
