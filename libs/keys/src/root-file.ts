import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { joinSecret, type Random, wiper } from './bytes.ts';
import { OPEN_ROOT, RESEAL_ROOT, SEAL_ROOT } from './child/operations.ts';
import type { KeyProcess } from './child/pool.ts';
import { PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN, ROOT_FILE_BYTES_MAX, SCRYPT_COST } from './limits.ts';
import { withText } from './ports.ts';
import { refusal } from './refusal.ts';
import { ok, type Result } from './result.ts';
import { type SealedRoot, sealedRoot } from './vault/root.ts';

/**
 * Where the passphrase comes from. `file`: readable by its owner only. `credential`: `$CREDENTIALS_DIRECTORY` of a systemd unit and the
 * name given to `LoadCredential=` (systemd guards it by an ACL, which shows as a group bit). Never an argument or a variable.
 */
export type Unlock =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'credential'; readonly directory: string; readonly name: string };

export type RootFileOptions = {
  readonly path: string;
  readonly unlock: Unlock;
  readonly process: KeyProcess;
  readonly random: Random;
};

const OTHERS = 0o077;
const WORLD = 0o007;

/** A small regular file, whole; `exposed` when its mode has one of `forbidden`. */
export async function readGuarded(
  path: string,
  bytesMax: number,
  forbidden: number,
): Promise<Buffer | 'missing' | 'exposed' | 'too-large'> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch {
    return 'missing';
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return 'missing';
    if ((stat.mode & forbidden) !== 0) return 'exposed';
    if (stat.size > bytesMax) return 'too-large';
    const bytes = Buffer.alloc(stat.size);
    const { bytesRead } = await file.read(bytes, 0, stat.size, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The passphrase (or PIN, or credential) without one trailing line end. The caller zeroes it. */
export async function readPassphrase(unlock: Unlock, bytesMin = PASSPHRASE_BYTES_MIN): Promise<Result<Buffer>> {
  const path = unlock.kind === 'file' ? unlock.path : join(unlock.directory, basename(unlock.name));
  const bytes = await readGuarded(path, PASSPHRASE_BYTES_MAX + 1, unlock.kind === 'file' ? OTHERS : WORLD);
  if (bytes === 'missing') return refusal('PASSPHRASE_UNREADABLE', { about: path });
  if (bytes === 'exposed') return refusal('PASSPHRASE_EXPOSED', { about: path });
  if (bytes === 'too-large') return refusal('PASSPHRASE_LENGTH', { about: path });
  const passphrase = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
  if (passphrase.length < bytesMin || passphrase.length > PASSPHRASE_BYTES_MAX) {
    bytes.fill(0);
    return refusal('PASSPHRASE_LENGTH', { about: path });
  }
  return ok(passphrase);
}

/** Writes beside `path`, fsynced, and gives the whole file its name in one step: a crash leaves the old state or the new one. */
async function place(path: string, root: SealedRoot, random: Random, how: 'new' | 'replace'): Promise<Result<null>> {
  const suffix = Buffer.from(random(8)).toString('hex');
  const temporary = join(dirname(path), `.${basename(path)}.${suffix}`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(root)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    // A link never replaces: two first starts at once cannot overwrite each other's root.
    if (how === 'new') await link(temporary, path);
    else await rename(temporary, path);
  } catch (error) {
    if (isCode(error, 'EEXIST')) return refusal('ROOT_FILE_EXISTS', { about: path });
    throw error;
  } finally {
    await unlink(temporary).catch((error: unknown) => {
      if (!isCode(error, 'ENOENT')) throw error;
    });
  }
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
  return ok(null);
}

const isCode = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;

/** Makes a new root. Once per CSP: refused when the file exists. `cost`: scrypt's N, for tests. */
export async function createRootFile(options: RootFileOptions & { readonly cost?: number }): Promise<Result<null>> {
  using wipe = wiper();
  const passphrase = await readPassphrase(options.unlock);
  if (!passphrase.ok) return passphrase;
  const sealed = withText(
    await options.process.call(SEAL_ROOT, { cost: options.cost ?? SCRYPT_COST }, wipe.keep(passphrase.value)),
  );
  return sealed.ok ? place(options.path, sealed.value, options.random, 'new') : sealed;
}

async function readRootFile(path: string): Promise<Result<SealedRoot>> {
  const bytes = await readGuarded(path, ROOT_FILE_BYTES_MAX, OTHERS);
  if (bytes === 'missing') return refusal('ROOT_FILE_MISSING', { about: path });
  if (bytes === 'exposed') return refusal('ROOT_FILE_EXPOSED', { about: path });
  if (bytes === 'too-large') return refusal('ROOT_FILE_INVALID', { about: path });
  const parsed = sealedRoot.safeParse(parseJson(bytes.toString('utf8')));
  return parsed.success ? ok(parsed.data) : refusal('ROOT_FILE_INVALID', { about: path });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The root key, 32 bytes; the caller zeroes it. A wrong passphrase is `ROOT_PASSPHRASE_WRONG`, never a guess at another cause. */
export async function openRootFile({ path, unlock, process }: Omit<RootFileOptions, 'random'>): Promise<Result<Buffer>> {
  using wipe = wiper();
  const file = await readRootFile(path);
  if (!file.ok) return file;
  const passphrase = await readPassphrase(unlock);
  if (!passphrase.ok) return passphrase;
  return withText(await process.open(OPEN_ROOT, { file: file.value }, wipe.keep(passphrase.value)));
}

/** The same root under another passphrase: nothing below it changes. */
export async function changePassphrase(
  options: RootFileOptions & { readonly to: Unlock; readonly cost?: number },
): Promise<Result<null>> {
  using wipe = wiper();
  const root = await openRootFile(options);
  if (!root.ok) return root;
  const rootKey = wipe.keep(root.value);
  const passphrase = await readPassphrase(options.to);
  if (!passphrase.ok) return passphrase;
  const both = wipe.keep(joinSecret([rootKey, wipe.keep(passphrase.value)]));
  const sealed = withText(
    await options.process.call(RESEAL_ROOT, { cost: options.cost ?? SCRYPT_COST, rootBytes: rootKey.length }, both),
  );
  return sealed.ok ? place(options.path, sealed.value, options.random, 'replace') : sealed;
}
