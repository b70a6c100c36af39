import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readPrivateText } from '@carnet/pki';
import { ed25519Signer, readEd25519Key, type Signer } from '@carnet/trust';
import { EXIT, VerbError } from './exit.ts';

/** A person's own key, in a file that never leaves the person's machine. */
export interface KeyOptions {
  readonly key: string;
  readonly passphraseFile?: string;
}

/** Reads an Ed25519 private key (PKCS #8 PEM, perhaps encrypted), of which nothing is ever said. */
export function signerOf({ key, passphraseFile }: KeyOptions): Signer & { readonly publicKey: Uint8Array } {
  const pem = privateText(key);
  const passphrase = passphraseFile === undefined ? undefined : privateText(passphraseFile).replace(/\r?\n$/, '');
  const opened = keyIn(() => createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) }));
  if (opened?.asymmetricKeyType !== 'ed25519')
    throw unreadable(`${key} is no Ed25519 private key in PKCS #8 PEM, or its passphrase is another`);
  return ed25519Signer(opened);
}

/** The public half of a private key, in base64. */
export const publicKeyOf = (options: KeyOptions): string => Buffer.from(signerOf(options).publicKey).toString('base64');

/** The 32 bytes of an Ed25519 public key in a PEM file (SubjectPublicKeyInfo), in base64. */
export function publicKeyIn(file: string): string {
  const pem = read(() => readFileSync(file, 'utf8'));
  // A private key would be read as its public half: whoever gives it to a verb that sends something has the wrong file.
  const opened = pem.includes('PRIVATE KEY') ? undefined : keyIn(() => createPublicKey(pem));
  const raw = Buffer.from(String(opened?.asymmetricKeyType === 'ed25519' ? opened.export({ format: 'jwk' }).x : ''), 'base64url');
  if (readEd25519Key(raw) === undefined) throw unreadable(`${file} is no Ed25519 public key in PEM`);
  return raw.toString('base64');
}

const privateText = (file: string): string => read(() => readPrivateText(file));

/** The parser's own message may quote the key. */
function keyIn(open: () => KeyObject): KeyObject | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}

function read(work: () => string): string {
  try {
    return work();
  } catch (cause) {
    throw unreadable(cause instanceof Error ? cause.message : String(cause));
  }
}

const unreadable = (text: string): VerbError => new VerbError(EXIT.usage, 'SIGNING_KEY_UNREADABLE', text);
