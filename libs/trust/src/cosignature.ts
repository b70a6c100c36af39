import { TrustError } from './error.ts';
import { ED25519_SIGNATURE_BYTES } from './limits.ts';
import {
  isSigned,
  joined,
  KEY_HINT_BYTES,
  keyHint,
  NOTE_ALGORITHM,
  type NoteCode,
  type NoteKey,
  type NoteSigner,
  signatureLine,
  splitNote,
  startsWith,
} from './note.ts';
import { accept, type Checked, refuse } from './refusal.ts';

// C2SP tlog-cosignature (c2sp.org/tlog-cosignature): a witness says that it saw this checkpoint, that it is consistent with all
// that it saw before, and when.

const TIME_BYTES = 8;
const utf8 = new TextEncoder();

/** `time`: Unix seconds, by the witness's clock. */
export type Cosignature = { readonly name: string; readonly time: number };

/** What a witness signs: `text` is the note's, with its last line feed. */
const witnessed = (text: string, time: number): Uint8Array => utf8.encode(`cosignature/v1\ntime ${time}\n${text}`);

/**
 * The note with one more signature line.
 * @throws TrustError RANGE for what is no note, or no time
 */
export function cosignNote(note: Uint8Array, signer: NoteSigner, time: number): Uint8Array {
  const split = splitNote(note);
  if (split === undefined || !Number.isSafeInteger(time) || time < 0)
    throw new TrustError('RANGE', 'expected a signed note, and a time in Unix seconds');
  const blob = joined(keyHint(signer, NOTE_ALGORITHM.cosignature), bigEndian(time), signer.sign(witnessed(split.text, time)));
  return joined(note, utf8.encode(signatureLine(signer.name, blob)));
}

/** Cosignatures of known witnesses, at least one. Those of others are skipped; a bad one under a known key refuses the whole note. */
export function openCosignatures(note: Uint8Array, known: readonly NoteKey[]): Checked<readonly Cosignature[], NoteCode> {
  const split = splitNote(note);
  if (split === undefined) return refuse('NOTE_MALFORMED', 'expected a text, a blank line and signature lines');
  const found: Cosignature[] = [];
  for (const { name, blob } of split.signatures) {
    const key = known.find((one) => one.name === name && startsWith(blob, keyHint(one, NOTE_ALGORITHM.cosignature)));
    if (key === undefined) continue;
    const time = timeIn(blob);
    const signature = blob.slice(KEY_HINT_BYTES + TIME_BYTES);
    if (time === undefined || !isSigned(key, witnessed(split.text, time), signature))
      return refuse('SIGNATURE_INVALID', 'expected a cosignature over this text', { got: name });
    found.push({ name, time });
  }
  return found.length === 0 ? refuse('SIGNER_UNKNOWN', 'expected a cosignature of a known witness') : accept(found);
}

function timeIn(blob: Uint8Array): number | undefined {
  if (blob.length !== KEY_HINT_BYTES + TIME_BYTES + ED25519_SIGNATURE_BYTES) return undefined;
  const time = Number(new DataView(blob.buffer, blob.byteOffset).getBigUint64(KEY_HINT_BYTES));
  return Number.isSafeInteger(time) ? time : undefined;
}

function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}
