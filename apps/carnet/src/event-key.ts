import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { statSync } from 'node:fs';
import { readPrivateText, writeDurably } from '@carnet/pki';
import { ed25519Signer } from '@carnet/trust';
import { EXIT, VerbError } from './exit.ts';

const DAY_MS = 86_400_000;

export interface RotatedKey {
  readonly outcome: 'rotated' | 'young enough';
  readonly keyid: string;
  readonly before: string;
}

/** Puts a new Ed25519 key in place of the old one, in one step and for its owner only. */
export function rotateEventKey(file: string, olderThanDays: number | undefined, nowMs: number): RotatedKey {
  const before = keyIdOf(file);
  const { mtimeMs, uid, gid } = statSync(file);
  if (olderThanDays !== undefined && nowMs - mtimeMs < olderThanDays * DAY_MS)
    return { outcome: 'young enough', keyid: before, before };
  const { privateKey } = generateKeyPairSync('ed25519');
  // Made by root for the broker's account.
  writeDurably(file, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), { owner: { uid, gid } });
  return { outcome: 'rotated', keyid: ed25519Signer(privateKey).keyid, before };
}

function keyIdOf(file: string): string {
  try {
    return ed25519Signer(createPrivateKey(readPrivateText(file))).keyid;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new VerbError(
      EXIT.failed,
      'EVENT_KEY_UNREADABLE',
      `${file}: ${why}`,
      'Name the event key file of the broker, as its user.',
    );
  }
}
