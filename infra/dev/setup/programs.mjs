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
/** Besides their sources: other people's code goes into the files as well, and this is how. */
export const BUILT_WITH = ['package-lock.json', 'infra/dev/setup/build-programs.mjs'];

/** Not committed: git, formatter and linter leave it out. */
export const programFolder = (root) => join(root, 'dist');
export const programFile = (root, name) => join(programFolder(root), `${name}.js`);
export const stampFile = (folder) => join(folder, STAMP);

/** SHA-256 over names and contents of what a program was built from; undefined when one of them is gone. @param {Map<string, Buffer>} read */
export function digestOf(root, inputs, read = new Map()) {
  const hash = createHash('sha256');
  for (const input of inputs) {
    const content = read.get(input) ?? contentOf(join(root, input));
    if (content === undefined) return undefined;
    read.set(input, content);
    hash.update(`${input}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

const contentOf = (file) => (existsSync(file) ? readFileSync(file) : undefined);

/** Of its very sources? By content, not by time: copies and checkouts have times of their own. */
export function isProgramBuilt(root, name, read = new Map()) {
  const stamp = contentOf(stampFile(programFolder(root)));
  const built = stamp === undefined ? undefined : JSON.parse(stamp.toString('utf8'))[name];
  return built !== undefined && existsSync(programFile(root, name)) && digestOf(root, built.inputs, read) === built.digest;
}

/** All of them. */
export function programsBuilt(root) {
  const read = new Map();
  return Object.keys(PROGRAMS).every((name) => isProgramBuilt(root, name, read));
}
