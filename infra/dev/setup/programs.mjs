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

/** Where Node keeps what it has compiled for this user's next start: a folder for each, for whoever writes there says what runs. */
export const compiledFolder = (root, user) => join(root, '.tools', `compiled-${user}`);

/** SHA-256 over the names and SHA-256 of what a program was built from; undefined when one of them is gone. @param {Map<string, string>} known */
export function digestOf(root, inputs, known = new Map()) {
  const hash = createHash('sha256');
  for (const input of inputs) {
    const file = join(root, input);
    const digest = known.get(input) ?? (existsSync(file) ? sha256Of(readFileSync(file)) : undefined);
    if (digest === undefined) return undefined;
    known.set(input, digest);
    hash.update(`${input}\0${digest}\0`);
  }
  return hash.digest('hex');
}

const sha256Of = (content) => createHash('sha256').update(content).digest('hex');

function readStamp(root) {
  const file = stampFile(programFolder(root));
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

/** Of its very sources? By content, not by time: copies and checkouts have times of their own. */
export function isProgramBuilt(root, name, stamp = readStamp(root), known = new Map()) {
  const built = stamp[name];
  return built !== undefined && existsSync(programFile(root, name)) && digestOf(root, built.inputs, known) === built.digest;
}

/** All of them; nearly all their sources are the same, and are read once. */
export function programsBuilt(root) {
  const [stamp, known] = [readStamp(root), new Map()];
  return Object.keys(PROGRAMS).every((name) => isProgramBuilt(root, name, stamp, known));
}
