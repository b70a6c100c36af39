// A recent nats-server in .tools: Debian 12's own is too old, Debian testing's runs on it.
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AptFailed, openPrivateApt, warn } from './apt.mjs';
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
  const version = await firstThatServes({ toolsDir, codename, file });
  if (version === undefined) throw new SetupStopped('setup: neither Debian testing nor trixie gave a nats-server that runs here');
  if (!isAtLeast(version, NATS_WANTED)) {
    warn(
      `nats-server ${version.join('.')} is older than ${NATS_WANTED.join('.')}: without ${missingFeatures(version).join(', ')}`,
    );
  }
  return { file, version };
}

async function firstThatServes(place) {
  const attempts = [
    { suite: 'testing', oldest: NATS_WANTED, dates: 'checked' },
    { suite: 'testing', oldest: NATS_WANTED, dates: 'ignored' },
    { suite: 'trixie', oldest: NATS_BEARABLE, dates: 'checked' },
  ];
  let isExpired = false;
  for (const attempt of attempts) {
    // Only lists that are merely old are worth a second look: testing's expire after a week, a lab's mirror may be frozen.
    if (attempt.dates === 'ignored' && !isExpired) continue;
    if (attempt.dates === 'ignored')
      warn("taking testing's lists although they are past their date; their signature is checked, and the version too");
    try {
      const version = await fetchFrom({ ...attempt, ...place });
      if (version !== undefined) return version;
    } catch (cause) {
      if (!(cause instanceof AptFailed)) throw cause;
      isExpired = cause.isExpired;
      warn(`Debian ${attempt.suite}: ${cause.message.replace(/^setup: /, '')}`);
    }
  }
  return undefined;
}

/** Puts the suite's server in place if it runs here and is new enough; returns its version. */
async function fetchFrom({ suite, oldest, dates, toolsDir, codename, file }) {
  const apt = await openPrivateApt({ suites: [suite], codename, dates, workDir: toolsDir });
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
