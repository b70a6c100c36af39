// What there is on this machine, and what is still to be done for a program.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { missing } from './apt.mjs';
import { findGuestParts } from './guest-parts.mjs';
import { findNatsServer } from './nats-server.mjs';
import { isTokenPackageBuilt, npmPackagesInstalled } from './npm.mjs';
import { installCommand, needsKeyManagers, packagesFor } from './packages.mjs';
import { parseOsRelease, platformProblems } from './platform.mjs';
import { programsBuilt } from './programs.mjs';
import { missingUsers } from './users.mjs';

/**
 * Looks, changes nothing; a tenth of a second.
 * @param {{ root: string, script: string | undefined }} options
 */
export function survey({ root, script }) {
  const toolsDir = join(root, '.tools');
  const osRelease = parseOsRelease(readIfThere('/etc/os-release'));
  const problems = platformProblems({ platform: process.platform, arch: process.arch, osRelease, nodeVersion: process.version });
  const isRoot = process.getuid?.() === 0;
  return {
    root,
    toolsDir,
    problems,
    isRoot,
    codename: osRelease['VERSION_CODENAME'] ?? 'testing',
    packages: problems.length > 0 ? [] : missing(packagesFor(script, osRelease)),
    users: isRoot ? missingUsers(readIfThere('/etc/passwd')) : [],
    npm: npmPackagesInstalled(root) && (!needsKeyManagers(script) || isTokenPackageBuilt(root)),
    programs: programsBuilt(root),
    nats: findNatsServer(toolsDir),
    guest: findGuestParts(toolsDir),
  };
}

/**
 * What set-up itself cannot change, for one screen.
 * @param {ReturnType<typeof survey>} found
 * @returns {readonly string[]}
 */
export function obstacles(found) {
  if (found.problems.length > 0) return found.problems;
  if (found.isRoot || found.packages.length === 0) return [];
  return [
    `Debian packages are missing, and installing them needs root: ${found.packages.join(', ')}.`,
    `Ask for, or run:  ${installCommand(found.packages)}`,
    'Then run this again as yourself. (As root, set-up does that by itself.)',
  ];
}

/** @param {ReturnType<typeof survey>} found */
export function isComplete(found) {
  return (
    found.npm &&
    found.programs &&
    found.packages.length === 0 &&
    found.users.length === 0 &&
    found.nats !== undefined &&
    found.guest !== undefined
  );
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
