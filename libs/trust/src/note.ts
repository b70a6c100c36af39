import { base64 } from '@carnet/events';
import { fromBase64, sha256, toBase64 } from '#primitives';
import { ED25519_KEY_BYTES, ED25519_SIGNATURE_BYTES, NOTE_BYTES_MAX } from './limits.ts';
import { accept, type Checked, refuse } from './refusal.ts';
import { readEd25519Key } from './signature.ts';

// C2SP signed-note (c2sp.org/signed-note): a text, a blank line, and signature lines that name their keys.

/** The algorithm bytes of note keys: plain Ed25519, and Ed25519 of a witness (c2sp.org/tlog-cosignature). */
export const NOTE_ALGORITHM = { ed25519: 0x01, cosignature: 0x04 } as const;
export type NoteAlgorithm = (typeof NOTE_ALGORITHM)[keyof typeof NOTE_ALGORITHM];
export const KEY_HINT_BYTES = 4;
const NAME = /^[^\s+\p{Cc}]+$/u;
const LINE = /^— (\S+) (\S+)$/;

const utf8 = new TextEncoder();

/** A key by the name that notes give it. `publicKey`: raw Ed25519. */
export type NoteKey = { readonly name: string; readonly publicKey: Uint8Array };
export type NoteSigner = NoteKey & { sign(text: Uint8Array): Uint8Array };
/** `signers`: the names of the keys whose signatures were verified, at least one. */
export type OpenedNote = { readonly text: string; readonly signers: readonly string[] };

/** `blob`: key hint, then what its algorithm wants. */
type SignatureLine = { readonly name: string; readonly blob: Uint8Array };
type SplitNote = { readonly text: string; readonly signatures: readonly SignatureLine[] };

export type NoteCode = 'NOTE_MALFORMED' | 'SIGNATURE_INVALID' | 'SIGNER_UNKNOWN';

/** SHA-256(name ‖ LF ‖ algorithm ‖ key), first four bytes: a hint for finding the key, no protection. */
export const keyHint = ({ name, publicKey }: NoteKey, algorithm: NoteAlgorithm): Uint8Array =>
  sha256(utf8.encode(`${name}\n`), Uint8Array.of(algorithm), publicKey).slice(0, KEY_HINT_BYTES);

/** `text` ends with a line feed; each signer signs exactly its UTF-8 bytes. */
export function signNote(text: string, signers: readonly NoteSigner[]): Uint8Array {
  const message = utf8.encode(text);
  const lines = signers.map((signer) =>
    signatureLine(signer.name, joined(keyHint(signer, NOTE_ALGORITHM.ed25519), signer.sign(message))),
  );
  return utf8.encode(`${text}\n${lines.join('')}`);
}

export const signatureLine = (name: string, blob: Uint8Array): string => `— ${name} ${toBase64(blob)}\n`;

/**
 * The text of a note that at least one known key signed. Signatures of unknown keys are skipped, as the specification wants: a
 * witness may be added before we know it. A bad signature under a known key refuses the whole note.
 */
export function openNote(bytes: Uint8Array, known: readonly NoteKey[]): Checked<OpenedNote, NoteCode> {
  const note = splitNote(bytes);
  if (note === undefined) return refuse('NOTE_MALFORMED', 'expected a text, a blank line and signature lines');
  const message = utf8.encode(note.text);
  const signers: string[] = [];
  for (const { name, blob } of note.signatures) {
    const key = known.find(
      (candidate) => candidate.name === name && startsWith(blob, keyHint(candidate, NOTE_ALGORITHM.ed25519)),
    );
    if (key === undefined) continue;
    if (!isSigned(key, message, blob.slice(KEY_HINT_BYTES)))
      return refuse('SIGNATURE_INVALID', 'expected a signature over this text', { got: name });
    signers.push(name);
  }
  return signers.length === 0
    ? refuse('SIGNER_UNKNOWN', 'expected a signature of a known key')
    : accept({ text: note.text, signers });
}

/** Lengths first: a key or signature of another kind is no Ed25519 signature, whatever the hint says. */
export const isSigned = ({ publicKey }: NoteKey, message: Uint8Array, signature: Uint8Array): boolean =>
  publicKey.length === ED25519_KEY_BYTES &&
  signature.length === ED25519_SIGNATURE_BYTES &&
  readEd25519Key(publicKey)?.verify(message, signature) === true;

/** The last blank line ends the text: an earlier one belongs to it. The text keeps its last line feed; no control characters but line feeds. */
export function splitNote(bytes: Uint8Array): SplitNote | undefined {
  if (bytes.length > NOTE_BYTES_MAX) return undefined;
  const note = decode(bytes);
  const end = note?.lastIndexOf('\n\n') ?? -1;
  if (note === undefined || end < 0 || !note.endsWith('\n') || /(?!\n)\p{Cc}/u.test(note)) return undefined;
  const signatures = note
    .slice(end + 2, -1)
    .split('\n')
    .map(readLine);
  return signatures.every((line) => line !== undefined) ? { text: note.slice(0, end + 1), signatures } : undefined;
}

/** One spelling: canonical base64. */
function readLine(line: string): SignatureLine | undefined {
  const [, name = '', encoded = ''] = LINE.exec(line) ?? [];
  if (!NAME.test(name) || !base64.safeParse(encoded).success) return undefined;
  const blob = fromBase64(encoded);
  return toBase64(blob) === encoded ? { name, blob } : undefined;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export const startsWith = (bytes: Uint8Array, prefix: Uint8Array): boolean => prefix.every((byte, i) => byte === bytes[i]);
