// Debian packages: installed into the system as root, or only downloaded through a private apt state
// that leaves the system's sources and packages as they are.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, run, ToolFailed, whateverHappens } from './children.mjs';
import { DPKG_FORMAT, missingPackages } from './packages.mjs';
import { SetupStopped, say } from './say.mjs';
import { debianMirror, parseSources } from './sources.mjs';

/** Another apt may be at work on a fresh machine (unattended upgrades): wait for it, seconds. */
const LOCK_WAIT_S = 120;
/** Mirrors drop a connection now and then. */
const RETRIES = 3;
const POLICY_FILE = '/usr/sbin/policy-rc.d';
const CLUSTER_CONF_DIR = '/etc/postgresql-common/createcluster.d';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** @param {readonly string[]} wanted */
export function missing(wanted) {
  // It fails when one of them is unknown and still lists the others.
  return missingPackages(wanted, ask(['dpkg-query', '--show', `--showformat=${DPKG_FORMAT}`, ...wanted])?.out ?? '');
}

/** Installs into the system; needs root. Starts nothing: neither services nor a database cluster. @param {readonly string[]} names */
export async function install(names) {
  const undo = [forbidServices(), forbidCluster()];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const apt = [
    'apt-get',
    '-o',
    `DPkg::Lock::Timeout=${LOCK_WAIT_S}`,
    '-o',
    'Dpkg::Use-Pty=0',
    '-o',
    `Acquire::Retries=${RETRIES}`,
  ];
  try {
    if (ask(['dpkg', '--audit'])?.out.trim()) await run(['dpkg', '--configure', '-a'], { env });
    await refresh([...apt, 'update'], env);
    await explained(() => run([...apt, 'install', '-y', '--no-install-recommends', ...names], { env }));
  } finally {
    for (const each of undo) each();
  }
}

/** One broken third-party source fails the whole update, though Debian's lists are there: the installation decides. */
async function refresh(command, env) {
  try {
    await run(command, { env });
  } catch (cause) {
    if (!(cause instanceof ToolFailed)) throw cause;
    cause.show();
    warn('apt could not refresh all of its lists; going on with those it has');
  }
}

/**
 * A private apt state with the given suites of the machine's own mirror.
 * `dates: 'ignored'` takes lists past their Valid-Until (a frozen mirror); their signatures are checked all the same.
 * @param {{ suites: readonly string[], codename: string, architecture?: string, dates?: 'checked' | 'ignored', workDir: string }} options
 */
export async function openPrivateApt({ suites, codename, architecture, dates = 'checked', workDir }) {
  const mirror = debianMirror(parseSources(systemSources()), codename);
  if (mirror === undefined) {
    throw new SetupStopped(
      `setup: no Debian archive with ${codename} found in /etc/apt/sources.list or sources.list.d; add one and run again`,
    );
  }
  mkdirSync(workDir, { recursive: true });
  const dir = mkdtempSync(join(workDir, 'apt-'));
  const close = whateverHappens(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ['lists/partial', 'cache', 'parts']) mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(
    join(dir, 'parts', 'private.sources'),
    `Types: deb\nURIs: ${mirror.uri}\nSuites: ${suites.join(' ')}\nComponents: main\nSigned-By: ${existsSync(KEYRING) ? KEYRING : mirror.signedBy}\n`,
  );
  const options = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': join(dir, 'parts'),
    'Dir::State::lists': join(dir, 'lists'),
    'Dir::Cache': join(dir, 'cache'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': String(RETRIES),
    // Root's apt would otherwise drop to a user who cannot enter a clone in a private home.
    ...(process.getuid?.() === 0 ? { 'APT::Sandbox::User': 'root' } : {}),
    ...(dates === 'ignored' ? { 'Acquire::Check-Valid-Until': 'false' } : {}),
    ...(architecture === undefined ? {} : { 'APT::Architecture': architecture, 'APT::Architectures': architecture }),
  };
  const flags = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  await explained(() => run(['apt-get', ...flags, '-qq', 'update']));
  return {
    close,
    dependsOf: (name) => run(['apt-cache', ...flags, 'depends', name]),
    /** Downloads `name[=version|/suite]` and unpacks it; returns the folder and the file's name. */
    unpack: async (name) => {
      const to = mkdtempSync(join(dir, 'deb-'));
      await explained(() => run(['apt-get', ...flags, '-qq', 'download', name], { cwd: to }));
      const file = readdirSync(to).find((each) => each.endsWith('.deb'));
      if (file === undefined) throw new SetupStopped(`setup: apt-get download ${name} left no package`);
      await run(['dpkg-deb', '--extract', join(to, file), join(to, 'root')]);
      return { root: join(to, 'root'), file };
    },
  };
}

function systemSources() {
  const dir = '/etc/apt/sources.list.d';
  const parts = existsSync(dir)
    ? readdirSync(dir)
        .sort()
        .map((name) => join(dir, name))
    : [];
  return ['/etc/apt/sources.list', ...parts]
    .filter((name) => /\.(list|sources)$/.test(name) && existsSync(name))
    .map((name) => ({ name, text: readFileSync(name, 'utf8') }));
}

/** invoke-rc.d asks this file before it starts a service: 101 means forbidden. */
function forbidServices() {
  if (existsSync(POLICY_FILE)) return () => undefined;
  writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return whateverHappens(() => rmSync(POLICY_FILE, { force: true }));
}

/** PostgreSQL's package would make a cluster of its own and start it. */
function forbidCluster() {
  const file = join(CLUSTER_CONF_DIR, 'carnet-setup.conf');
  mkdirSync(CLUSTER_CONF_DIR, { recursive: true });
  writeFileSync(file, 'create_main_cluster = false\n');
  return whateverHappens(() => rmSync(file, { force: true }));
}

export class AptFailed extends SetupStopped {
  /** @param {string} output what apt said */
  constructor(output) {
    const hint = aptHint(output);
    super(`setup: apt failed${hint === undefined ? '' : `: ${hint}`}`);
    this.isExpired = /Release file .* is expired/.test(output);
  }
}

/** Puts the usual causes of a failing apt into plain words. */
async function explained(work) {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof ToolFailed)) throw cause;
    cause.show();
    throw new AptFailed(cause.output);
  }
}

/** @param {string} output @returns {string | undefined} */
export function aptHint(output) {
  if (/Could not get lock|Unable to acquire/.test(output))
    return `another apt is still at work after ${LOCK_WAIT_S} s; run again when it is done`;
  if (
    /Could not resolve|Temporary failure resolving|Could not connect|Connection (timed out|refused)|Network is unreachable|Failed to fetch/.test(
      output,
    )
  )
    return 'the Debian mirror cannot be reached; check the network (or the proxy in /etc/apt/apt.conf.d) and run again';
  if (/Release file .* is expired/.test(output))
    return "the mirror's package lists are out of date (or this machine's clock is ahead)";
  if (/No space left/.test(output)) return 'the disk is full';
  if (/NO_PUBKEY|not signed/.test(output))
    return 'the archive key is too old; update the package debian-archive-keyring and run again';
  return undefined;
}

export function warn(line) {
  say(`setup: note: ${line}`);
}
