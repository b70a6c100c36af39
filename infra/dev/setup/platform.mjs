// What this machine must be before anything is installed on it. Pure: the caller reads the files.

export const DEBIAN_MAJOR_MIN = 12;

/** Node's names of the processors for which a Node 24 package, QEMU and nats-server exist in Debian. */
const PROCESSORS = new Set(['x64', 'arm64']);

/**
 * Reads os-release(5): shell-like assignments, values with or without quotes.
 * @param {string} text
 * @returns {Readonly<Record<string, string>>}
 */
export function parseOsRelease(text) {
  const entries = text
    .split('\n')
    .map((line) => /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line.trim()))
    .filter((match) => match !== null)
    .map(([, key, value]) => [key, value.replace(/^(["'])(.*)\1$/, '$2').replace(/\\(.)/g, '$1')]);
  return Object.fromEntries(entries);
}

/**
 * Everything about the machine that no installation could change.
 * @param {{ platform: string, arch: string, osRelease: Readonly<Record<string, string>>, nodeVersion: string }} machine
 * @returns {readonly string[]} sentences, empty when the machine will do
 */
export function platformProblems({ platform, arch, osRelease, nodeVersion }) {
  const problems = [];
  if (platform !== 'linux') problems.push(`Linux is needed for libvirt and QEMU; this is ${platform}.`);
  else if (!isDebian(osRelease)) {
    const name = osRelease['PRETTY_NAME'] ?? 'an unknown system';
    problems.push(`Debian ${DEBIAN_MAJOR_MIN} or newer is needed, its packages are what gets installed; this is ${name}.`);
  }
  if (!PROCESSORS.has(arch)) problems.push(`A 64-bit x86 or ARM processor is needed; this is ${arch}.`);
  if (majorOf(nodeVersion) < 20) problems.push(`Node 20 or newer is needed to begin with; this is ${nodeVersion}.`);
  return problems;
}

/** Debian testing has no VERSION_ID: it is newer than any release, so its absence passes. */
function isDebian(osRelease) {
  if (osRelease['ID'] !== 'debian') return false;
  const version = osRelease['VERSION_ID'];
  return version === undefined || majorOf(version) >= DEBIAN_MAJOR_MIN;
}

function majorOf(version) {
  return Number.parseInt(version.replace(/^v/, ''), 10);
}
