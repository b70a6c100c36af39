// Whether node_modules is what package-lock.json says. npm itself leaves a record of what it installed
// (node_modules/.package-lock.json), written last: after an interrupted `npm ci` it is missing.

/**
 * @typedef {{ version?: string, integrity?: string, link?: boolean, optional?: boolean, devOptional?: boolean }} Entry
 * @typedef {{ packages: Readonly<Record<string, Entry>> }} Lock
 */

/**
 * @param {Lock} wanted package-lock.json
 * @param {Lock | undefined} installed node_modules/.package-lock.json
 * @returns {boolean}
 */
export function isInstalled(wanted, installed) {
  if (installed === undefined) return false;
  const known = (path) => path === '' || path in wanted.packages;
  return (
    Object.keys(installed.packages).every(known) &&
    Object.entries(wanted.packages).every(([path, entry]) => path === '' || isSame(entry, installed.packages[path]))
  );
}

/** Optional packages are those of other processors, mostly: npm leaves them out. */
function isSame(wanted, installed) {
  if (installed === undefined) return wanted.optional === true || wanted.devOptional === true;
  return wanted.version === installed.version && wanted.integrity === installed.integrity && wanted.link === installed.link;
}
