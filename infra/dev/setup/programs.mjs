// Which processes start so often that they are built into one file each, and whether those files are still of these sources.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Program, and its source. Node strips types at every start, and keeps no compiled code where its permission model is on: from one
 * file the broker and the agent start in a third of the time, the key child in half of it.
 */
export const PROGRAMS = {
  broker: 'apps/broker/src/main.ts',
  agent: 'apps/agent/src/main.ts',
  fence: 'apps/agent/src/fence/main.ts',
  'key-child': 'libs/keys/src/child/main.ts',
  'fake-agent': 'test/faults/harness/fake-agent.ts',
};
const STAMP = 'built-from.json';
/** Other people's code goes into the files as well. */
export const LOCK_FILE = 'package-lock.json';

/** Not committed: git, formatter and linter leave it out. */
export const programFolder = (root) => join(root, 'dist');
export const programFile = (root, name) => join(programFolder(root), `${name}.js`);
export const stampFile = (folder) => join(folder, STAMP);

/** SHA-256 over names and contents; undefined when one of them is gone. */
export function digestOf(root, inputs) {
  const hash = createHash('sha256');
  for (const input of inputs) {
    const file = join(root, input);
    if (!existsSync(file)) return undefined;
    const content = readFileSync(file);
    hash.update(`${input}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** By content, not by time: copies and checkouts have times of their own. */
export function programsBuilt(root) {
  const folder = programFolder(root);
  if (!existsSync(stampFile(folder))) return false;
  const { inputs, digest } = JSON.parse(readFileSync(stampFile(folder), 'utf8'));
  return Object.keys(PROGRAMS).every((name) => existsSync(programFile(root, name))) && digestOf(root, inputs) === digest;
}
