import { existsSync } from 'node:fs';
import { type BarbicanOptions, createRootFile, createTokenRoot, type KeyRoot, startKeyProcess, type Unlock } from '@carnet/keys';
import type { KeysConfig } from './key-config.ts';

type SealedRoot = Exclude<KeysConfig, { readonly backend: 'pkcs11' }>;

/**
 * Where the root's passphrase comes from: a file of mode 600, or a systemd credential (`LoadCredential=`), which lies in the
 * directory that systemd names and is gone when the unit stops.
 */
function unlockOf(keys: SealedRoot, environment: NodeJS.ProcessEnv): Unlock {
  if (keys.passphraseFile !== undefined) return { kind: 'file', path: keys.passphraseFile };
  const directory = environment['CREDENTIALS_DIRECTORY'];
  if (directory === undefined || keys.passphraseCredential === undefined)
    throw new Error('keys.passphraseCredential needs a systemd unit with LoadCredential=: CREDENTIALS_DIRECTORY is not set');
  return { kind: 'credential', directory, name: keys.passphraseCredential };
}

/** What the key manager needs to know of `[keys]`. */
export function keyBackendOf(
  keys: KeysConfig,
  environment: NodeJS.ProcessEnv,
): { readonly root: KeyRoot; readonly barbican?: BarbicanOptions } {
  if (keys.backend === 'pkcs11') {
    const { module, environment: variables, token, key, pinFile } = keys;
    return { root: { kind: 'pkcs11', module, environment: variables, token, key, pin: { kind: 'file', path: pinFile } } };
  }
  const root = { kind: 'file', path: keys.rootFile, unlock: unlockOf(keys, environment) } as const;
  return keys.backend === 'file' ? { root } : { root, barbican: barbicanOf(keys.barbican) };
}

function barbicanOf({
  url,
  caFile,
  readers,
  keystone,
  project,
}: Extract<KeysConfig, { readonly backend: 'barbican' }>['barbican']) {
  const common = { url, readers, ...(caFile === undefined ? {} : { caFile }) };
  if (keystone === undefined) return { ...common, project: project ?? '' };
  const secret = { kind: 'file', path: keystone.credentialSecretFile } as const;
  return { ...common, keystone: { url: keystone.url, credential: keystone.credentialId, secret } };
}

/**
 * Makes the root at the very first start. Only where there is none: a root that was lost must come back from its backup, and
 * a new one would not open a single key, so the key manager refuses a root that does not belong to its database.
 */
export async function ensureKeyRoot(root: KeyRoot, random: (n: number) => Uint8Array): Promise<void> {
  const made = root.kind === 'pkcs11' ? await createTokenRoot(root) : await ensureRootFile(root, random);
  const there = made === undefined || made.ok || made.code === 'ROOT_FILE_EXISTS' || made.code === 'TOKEN_KEY_EXISTS';
  if (!there) throw new Error(`the key root cannot be made: ${made.code}: ${made.text}`);
}

async function ensureRootFile({ path, unlock }: Extract<KeyRoot, { readonly kind: 'file' }>, random: (n: number) => Uint8Array) {
  if (existsSync(path)) return undefined;
  const process = startKeyProcess();
  try {
    return await createRootFile({ path, unlock, process, random });
  } finally {
    process.close();
  }
}
