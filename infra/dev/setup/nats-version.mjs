// Which nats-server will do.

/** What the federation's configuration and tests are written for. */
export const NATS_WANTED = Object.freeze([2, 14]);

/** The oldest that still has `sync_interval: always`; Debian 12's own 2.9 has not. */
export const NATS_BEARABLE = Object.freeze([2, 10]);

/**
 * @param {string} text what `nats-server --version` prints, e.g. `nats-server: v2.15.1`
 * @returns {readonly [number, number, number] | undefined}
 */
export function parseNatsVersion(text) {
  const match = /\bv?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
}

/**
 * @param {readonly number[] | undefined} version
 * @param {readonly number[]} wanted major and minor
 */
export function isAtLeast(version, wanted) {
  if (version === undefined) return false;
  const [major, minor] = version;
  return major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);
}

/** What to tell a user who got an older server. @param {readonly number[]} version */
export function missingFeatures(version) {
  const features = [
    [[2, 11], 'message TTLs'],
    [[2, 12], 'atomic batches'],
    [[2, 14], 'fixes the federation was tested with'],
  ];
  return features.filter(([since]) => !isAtLeast(version, since)).map(([, name]) => name);
}
