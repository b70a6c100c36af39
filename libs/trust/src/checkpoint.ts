import { base64 } from '@carnet/events';
import { fromBase64, toBase64 } from '#primitives';
import { TrustError } from './error.ts';
import { HASH_BYTES } from './limits.ts';
import { accept, type Checked, refuse } from './refusal.ts';

/** The head of an RFC 6962 log (c2sp.org/tlog-checkpoint). `origin` names the log, `size` counts leaves, `root` is 32 bytes. */
export type Checkpoint = {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly extensions: readonly string[];
};

const PRINTABLE_LINE = /^[^\p{Cc}]+$/u;
const DECIMAL = /^(0|[1-9][0-9]{0,15})$/;

/**
 * The text that is signed as a note.
 * @throws TrustError RANGE for what could not be read again
 */
export function encodeCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const text = [origin, String(size), toBase64(root), ...extensions, ''].join('\n');
  const again = decodeCheckpoint(text);
  if (!again.ok || again.value.origin !== origin || again.value.extensions.length !== extensions.length) {
    throw new TrustError('RANGE', 'expected a checkpoint of printable lines, a safe size and a root of 32 bytes');
  }
  return text;
}

/** One spelling each: no leading zeros, no stray base64 bits; so equal heads are equal texts. */
export function decodeCheckpoint(text: string): Checked<Checkpoint, 'CHECKPOINT_MALFORMED'> {
  const [origin = '', size = '', root = '', ...rest] = text.split('\n');
  const extensions = rest.slice(0, -1);
  if (rest.at(-1) !== '' || ![origin, ...extensions].every((line) => PRINTABLE_LINE.test(line))) {
    return refuse('CHECKPOINT_MALFORMED', 'expected origin, size, root and further lines, each ended');
  }
  if (!DECIMAL.test(size) || !Number.isSafeInteger(Number(size)))
    return refuse('CHECKPOINT_MALFORMED', 'expected a decimal size');
  const hash = base64.safeParse(root).success ? fromBase64(root) : new Uint8Array();
  if (hash.length !== HASH_BYTES || toBase64(hash) !== root)
    return refuse('CHECKPOINT_MALFORMED', 'expected a root of 32 bytes in base64');
  return accept({ origin, size: Number(size), root: hash, extensions });
}
