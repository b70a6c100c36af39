// `node infra/dev/setup/build-programs.mjs`, under Node 24: each program into one file of `dist`, all of them or none.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { BUILT_WITH, digestOf, PROGRAMS, programFile, programFolder, stampFile } from './programs.mjs';

/** Code that finds files beside itself: native parts and WebAssembly stay in node_modules. */
const STAYS_OUTSIDE = ['pkcs11js', '@cedar-policy/cedar-wasm/nodejs', '@electric-sql/pglite', 'pg-native'];
const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** Answers the files of ours that it was built from, relative to the clone. */
async function build(name, file) {
  const bundle = await rolldown({ input: join(root, PROGRAMS[name]), cwd: root, platform: 'node', external: STAYS_OUTSIDE });
  await bundle.write({ file, format: 'esm', codeSplitting: false });
  const read = await bundle.watchFiles;
  await bundle.close();
  return read.map((path) => relative(root, path)).filter((path) => !/^(\.\.|node_modules)\//.test(path));
}

/** A file at a time, each by renaming: what runs has its file read already. Without a stamp, nobody starts what is half done. */
function replace(drafts) {
  mkdirSync(programFolder(root), { recursive: true });
  rmSync(stampFile(programFolder(root)), { force: true });
  for (const name of NAMES) renameSync(draftOf(drafts, name), programFile(root, name));
  renameSync(stampFile(drafts), stampFile(programFolder(root)));
}

const NAMES = Object.keys(PROGRAMS);
const draftOf = (drafts, name) => join(drafts, `${name}.js`);
mkdirSync(join(root, '.tools'), { recursive: true });
const drafts = mkdtempSync(join(root, '.tools', 'programs-'));
try {
  const stamp = {};
  for (const name of NAMES) {
    const inputs = [...BUILT_WITH, ...(await build(name, draftOf(drafts, name)))].sort();
    stamp[name] = { inputs, digest: digestOf(root, inputs) };
  }
  writeFileSync(stampFile(drafts), `${JSON.stringify(stamp, undefined, 1)}\n`);
  replace(drafts);
} finally {
  rmSync(drafts, { recursive: true, force: true });
}
