import { done, failed, type HostCode, type Outcome, refused, setBack } from '@carnet/hypervisor';
import type * as images from '@carnet/images';
import type { Refusal } from '@carnet/images';

/** What the images lib says, as a host says it. Whatever is not named here is judged by whether it may pass. */
const CODES: Readonly<Partial<Record<Refusal['code'], HostCode>>> = {
  DISK_FULL: 'NO_ROOM',
  DISK_FAILED: 'DISK_FAILED',
  ABORTED: 'STEP_ABORTED',
  IMAGE_UNKNOWN: 'IMAGE_UNKNOWN',
  IMAGE_NAME_TAKEN: 'IMAGE_NAME_TAKEN',
  FILE_FORBIDDEN: 'DISK_FAILED',
  FILE_MISSING: 'ARTIFACT_MISSING',
  CHUNK_HASH: 'CHUNK_MISMATCH',
  ROOT_MISMATCH: 'CHUNK_MISMATCH',
  MANIFEST_MISMATCH: 'CHUNK_MISMATCH',
  CONTENT_MISMATCH: 'CHUNK_MISMATCH',
  TLS_NOT_TRUSTED: 'PEER_REFUSED',
  PEER_NOT_PINNED: 'PEER_REFUSED',
  NOT_GRANTED: 'PEER_REFUSED',
};

/** A source whose agent is starting grants nothing yet; the migration's deadline bounds the asking. */
const PASSING: ReadonlySet<Refusal['code']> = new Set(['NOT_GRANTED']);

const GOT_CHARS_MAX = 120;

/** `otherwise`: what any other refusal means where it came up. */
export function told<T>(outcome: images.Outcome<T>, otherwise: HostCode): Outcome<T> {
  if (outcome.ok) return outcome;
  const code = CODES[outcome.code] ?? otherwise;
  // What was found may be a peer's words: one short printable line of them.
  const got = outcome.got?.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, GOT_CHARS_MAX);
  const detail = got === undefined ? `(${outcome.code})` : `(${outcome.code}: ${got})`;
  return setBack(outcome.retryable || PASSING.has(outcome.code) ? failed(code, detail) : refused(code, detail));
}

export const map = <T, U>(outcome: Outcome<T>, into: (value: T) => U): Outcome<U> =>
  outcome.ok ? done(into(outcome.value)) : outcome;
