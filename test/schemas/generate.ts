import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { identity, newIdentity } from './identity.ts';
import { jsonSchemas, textOf } from './json-schemas.ts';
import { vectors } from './vectors.ts';

export const SCHEMAS = join(import.meta.dirname, '../../schemas');
const IDENTITY = join(SCHEMAS, 'vectors/identity.json');

/** Every generated file below `schemas/`, as the code of this moment makes it. */
export async function documents(): Promise<ReadonlyMap<string, string>> {
  const made = identity.parse(JSON.parse(await readFile(IDENTITY, 'utf8')));
  return new Map([...jsonSchemas(), ...vectors(made)]);
}

async function writeAll(): Promise<void> {
  await mkdir(dirname(IDENTITY), { recursive: true });
  if (process.argv.includes('--new-identity') || !existsSync(IDENTITY)) await writeFile(IDENTITY, textOf(await newIdentity()));
  for (const [path, text] of await documents()) {
    const file = join(SCHEMAS, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

if (import.meta.main) await writeAll();
