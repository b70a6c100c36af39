import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openStore, type Store } from './store.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TOOLS = join(ROOT, '.tools');
const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
/** Made by `initdb`, which is most of what a first start costs; of one version of PGlite. */
const TEMPLATE = join(TOOLS, `empty-database-${dependencies['@electric-sql/pglite']}`);
const QUIET = { info: () => undefined, warn: () => undefined };
const open = (dir: string): Promise<Store> => openStore({ dir, log: QUIET, applicationName: 'test' });

/** For tests: an embedded store in a directory of its own, as a first start leaves it, and much sooner: a copy of one that was made once. */
export async function openEmptyStore(dir: string): Promise<Store> {
  // A test that acts as another user may neither read nor make it.
  if (isOurs(ROOT)) {
    if (!existsSync(TEMPLATE)) await makeTemplate();
    cpSync(TEMPLATE, dir, { recursive: true });
  }
  return open(dir);
}

const isOurs = (path: string): boolean => statSync(path).uid === process.geteuid?.();

/** Of several that begin at once, the first one's stays. */
async function makeTemplate(): Promise<void> {
  mkdirSync(TOOLS, { recursive: true });
  const made = mkdtempSync(join(TOOLS, 'empty-database-'));
  await (await open(made)).close();
  try {
    renameSync(made, TEMPLATE);
  } catch (cause) {
    rmSync(made, { recursive: true });
    if (!existsSync(TEMPLATE)) throw cause;
  }
}
