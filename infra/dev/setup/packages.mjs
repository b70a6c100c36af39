// Which Debian packages each command needs, and which of them are missing.

/** libvirt's session daemon, QEMU, the software TPM, PostgreSQL, and the witness no one here wrote: openssl. */
const BASE = [
  'libvirt-daemon',
  'libvirt-daemon-driver-qemu',
  'libvirt-clients',
  'qemu-system-x86',
  'qemu-utils',
  'swtpm',
  'swtpm-tools',
  'postgresql',
  'openssl',
];

/** Debian 13 cut these out of libvirt-daemon, where Debian 12 has them built in. */
const BASE_SINCE_13 = ['libvirt-daemon-driver-secret', 'libvirt-daemon-driver-storage'];

/** A browser for the console, Spin for the model of the hand-over, Python for `schemas/examples/verify.py`: none of them our own. */
const WITNESSES = ['chromium', 'python3', 'spin', 'gcc'];

/**
 * Key managers that others run: a PKCS#11 token, OpenStack's Barbican with its Keystone, and the compiler that `pkcs11js` needs.
 * Nothing of them is started by the system.
 */
const KEY_MANAGERS = [
  'softhsm2',
  'barbican-api',
  'keystone',
  'python3-barbicanclient',
  'python3-openstackclient',
  'uwsgi-core',
  'uwsgi-plugin-python3',
  'python3',
  'make',
  'g++',
];

/** What the transfer benchmark races against. */
const RIVALS = ['openssh-client', 'openssh-server', 'rsync', 'nbdkit', 'libnbd-bin'];

/** Wires between network namespaces. */
const WIRES = ['iproute2'];
/** @param {string} script */
const isFaults = (script) => script.startsWith('test/faults/nightly/');

/** Tests and benchmarks. @param {string | undefined} script */
export const needsKeyManagers = (script) => script === undefined || (script.startsWith('test/') && !isFaults(script));

/**
 * @param {string | undefined} script the program to be run after set-up; none means: set up for all of them
 * @param {Readonly<Record<string, string>>} osRelease
 * @returns {readonly string[]}
 */
export function packagesFor(script, osRelease) {
  const base = Number(osRelease['VERSION_ID'] ?? 13) >= 13 ? [...BASE, ...BASE_SINCE_13] : BASE;
  if (script === undefined) return [...base, ...WITNESSES, ...KEY_MANAGERS, ...WIRES];
  if (isFaults(script)) return [...base, ...WIRES];
  if (script.startsWith('test/bench/')) return [...base, ...RIVALS, ...KEY_MANAGERS];
  return script.startsWith('test/') ? [...base, ...WITNESSES, ...KEY_MANAGERS, ...WIRES] : base;
}

/** The format that `missingPackages` reads, for `dpkg-query --show --showformat`. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders are dpkg-query's.
export const DPKG_FORMAT = '${Package} ${db:Status-Status}\\n';

/**
 * @param {readonly string[]} wanted
 * @param {string} dpkgOutput lines of DPKG_FORMAT; unknown packages have no line, removed ones another status
 * @returns {readonly string[]}
 */
export function missingPackages(wanted, dpkgOutput) {
  const installed = new Set(
    dpkgOutput
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.slice(0, line.indexOf(' '))),
  );
  return wanted.filter((name) => !installed.has(name));
}

/** What a user without root's rights has to ask for. @param {readonly string[]} missing */
export function installCommand(missing) {
  return `sudo apt-get install -y --no-install-recommends ${missing.join(' ')}`;
}
