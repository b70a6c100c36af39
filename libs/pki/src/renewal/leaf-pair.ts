import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { flushDirectory, writeDraft, writeDurably } from '../durable.ts';
import { readPrivateText } from '../leaf-files.ts';
import { BUSY_MS_MAX } from '../limits.ts';
import { exclusively } from '../lock-file.ts';
import { readPem } from '../pem.ts';
import { privateKeyPem, type RsaKeyPair, type RsaKeySource } from '../rsa-keys.ts';

/** PEM: leaf and intermediate, and the leaf's private key. */
export type LeafFiles = { readonly certificateFile: string; readonly keyFile: string };

/** The pair before the one of now: what pinned it may need it until it ends. */
export const filesBefore = ({ certificateFile, keyFile }: LeafFiles): LeafFiles => ({
  certificateFile: `${certificateFile}.before`,
  keyFile: `${keyFile}.before`,
});

const draftsOf = ({ certificateFile, keyFile }: LeafFiles): LeafFiles => ({
  certificateFile: `${certificateFile}.new`,
  keyFile: `${keyFile}.new`,
});

/** A daemon and `carnet cert renew` may both be at it. @throws PkiError LEAF_BUSY */
const alone = <T>({ keyFile }: LeafFiles, work: () => T): T =>
  exclusively(`${keyFile}.lock`, { code: 'LEAF_BUSY', waitMs: BUSY_MS_MAX }, work);

const nextKeyFile = ({ keyFile }: LeafFiles): string => `${keyFile}.next`;

/**
 * The key of the next leaf: made once, and kept until the leaf is here. An issuer gives a leaf one successor, and gives it again only to
 * the same key: an answer that was lost must be asked for by the key that it was for, by whoever asks.
 *
 * @param of the pair that shall be renewed
 * @returns `overtaken`: another pair is there, perhaps since a moment; asked for now, its key would look like a thief's
 */
export async function nextKeys(files: LeafFiles, of: PairName, make: RsaKeySource): Promise<RsaKeyPair | 'overtaken'> {
  const made = alone(files, () => (isThere(files, of) ? keptKeys(files) : 'overtaken'));
  if (made !== undefined) return made;
  const fresh = await make();
  return alone(files, () => {
    if (!isThere(files, of)) return 'overtaken';
    const kept = keptKeys(files);
    if (kept !== undefined) return kept;
    writeDurably(nextKeyFile(files), privateKeyPem(fresh.privateKey), { owner: statSync(files.keyFile) });
    return fresh;
  });
}

/** A key that cannot be certified any more, or never could be. */
export const dropNextKeys = (files: LeafFiles): void => alone(files, () => rmSync(nextKeyFile(files), { force: true }));

/** undefined: none, none that can be read, or the one that is in use: a crash came after the files were replaced. */
function keptKeys(files: LeafFiles): RsaKeyPair | undefined {
  const file = nextKeyFile(files);
  if (!existsSync(file) || isPair(files.certificateFile, file)) return undefined;
  try {
    const privateKey = createPrivateKey(readPrivateText(file));
    return { privateKey, publicKey: createPublicKey(privateKey) };
  } catch {
    return undefined;
  }
}

/** A pair by its certificate. */
type PairName = { readonly certificatePem: string };
export type NextPair = PairName & { readonly keyPem: string };

const isThere = ({ certificateFile }: LeafFiles, { certificatePem }: PairName): boolean =>
  leafOf(readFileSync(certificateFile, 'utf8')).equals(leafOf(certificatePem));

/**
 * Puts a new leaf and its key in the place of the old pair, which is kept beside. Two files cannot be renamed at once: the key goes
 * first, and a crash in between leaves a certificate that `settlePair` finishes.
 *
 * @param before PEM of the pair that the new one was asked for under
 * @returns `replaced`, also where another process had done it; `overtaken`: another pair is there, and nothing was done
 */
export function replacePair(files: LeafFiles, next: NextPair, before: PairName): 'replaced' | 'overtaken' {
  return alone(files, () => {
    if (isThere(files, next)) return 'replaced';
    if (!isThere(files, before) || !isPair(files.certificateFile, files.keyFile)) return 'overtaken';
    const [kept, drafts, owner] = [filesBefore(files), draftsOf(files), statSync(files.keyFile)];
    writeDurably(kept.keyFile, readFileSync(files.keyFile), { owner });
    writeDurably(kept.certificateFile, readFileSync(files.certificateFile), { mode: 0o644, owner });
    writeDraft(files.certificateFile, next.certificatePem, { mode: 0o644, owner });
    writeDraft(files.keyFile, next.keyPem, { owner });
    renameSync(drafts.keyFile, files.keyFile);
    renameSync(drafts.certificateFile, files.certificateFile);
    rmSync(nextKeyFile(files), { force: true });
    for (const directory of new Set([dirname(files.certificateFile), dirname(files.keyFile)])) flushDirectory(directory);
    return 'replaced';
  });
}

const leafOf = (pem: string): Buffer => Buffer.from(readPem(pem, 'CERTIFICATE')[0] ?? new Uint8Array());

/** Before the first look at the files: what a crash left half done is finished, or as if it had never been begun. */
export function settlePair(files: LeafFiles): void {
  const drafts = draftsOf(files);
  // Its directory need not be ours to write in.
  if (!existsSync(drafts.certificateFile) && !existsSync(drafts.keyFile)) return;
  alone(files, () => {
    const isHalfDone =
      existsSync(drafts.certificateFile) && !existsSync(drafts.keyFile) && isPair(drafts.certificateFile, files.keyFile);
    if (isHalfDone) renameSync(drafts.certificateFile, files.certificateFile);
    for (const draft of [drafts.certificateFile, drafts.keyFile]) rmSync(draft, { force: true });
  });
}

function isPair(certificateFile: string, keyFile: string): boolean {
  try {
    const [leaf = new Uint8Array()] = readPem(readFileSync(certificateFile, 'utf8'), 'CERTIFICATE');
    return new X509Certificate(leaf).checkPrivateKey(createPrivateKey(readFileSync(keyFile)));
  } catch {
    return false;
  }
}
