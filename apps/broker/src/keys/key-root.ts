import { existsSync } from 'node:fs';
import { createRootFile, startKeyProcess, type Unlock } from '@carnet/keys';
import type { BrokerConfig } from '../config.ts';

/**
 * Where the root's passphrase comes from: a file of mode 600, or a systemd credential (`LoadCredential=`), which lies in the
 * directory that systemd names and is gone when the unit stops.
 */
export function unlockOf(keys: BrokerConfig['keys'], environment: NodeJS.ProcessEnv): Unlock {
  if ('passphraseFile' in keys) return { kind: 'file', path: keys.passphraseFile };
  const directory = environment['CREDENTIALS_DIRECTORY'];
  if (directory === undefined)
    throw new Error('keys.passphraseCredential needs a systemd unit with LoadCredential=: CREDENTIALS_DIRECTORY is not set');
  return { kind: 'credential', directory, name: keys.passphraseCredential };
}

/**
 * Makes the sealed root at the very first start. Only where there is none: a root that was lost must be restored from its
 * backup, and a new one would not open a single key, so the key manager refuses a root that does not belong to its database.
 */
export async function ensureKeyRoot(rootFile: string, unlock: Unlock, random: (n: number) => Uint8Array): Promise<void> {
  if (existsSync(rootFile)) return;
  const process = startKeyProcess();
  try {
    const made = await createRootFile({ path: rootFile, unlock, process, random });
    if (!made.ok && made.code !== 'ROOT_FILE_EXISTS') throw new Error(`the key root cannot be made: ${made.code}: ${made.text}`);
  } finally {
    process.close();
  }
}
