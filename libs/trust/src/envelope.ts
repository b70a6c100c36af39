import { type Digest, dsseEnvelope, EVENT_BYTES_MAX } from '@carnet/events';
import { fromBase64, toBase64 } from '#primitives';
import { sha256Hex } from './bytes.ts';
import type { EnvelopeCode } from './codes.ts';
import { accept, type Checked, refuse } from './refusal.ts';
import type { Signer, Verifier } from './signature.ts';
import { parseStrictJson } from './strict-json.ts';

const utf8 = new TextEncoder();

/** DSSE 1.0.2 pre-authentication encoding: what is signed. Binds the payload to its type, unambiguously. */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = utf8.encode(payloadType);
  const prefix = utf8.encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `);
  const bytes = new Uint8Array(prefix.length + payload.length);
  bytes.set(prefix);
  bytes.set(payload, prefix.length);
  return bytes;
}

/** A signed thing. `digest` is the SHA-256 of the envelope bytes: the identity of an event. */
export type OpenedEnvelope = { readonly payload: Uint8Array; readonly keyid: string; readonly digest: Digest };

/** An envelope whose form was checked and whose signature was not. */
export type ReadEnvelope = OpenedEnvelope & { readonly payloadType: string; readonly signature: Uint8Array };

/** The one spelling of an envelope. */
const encode = (payloadType: string, payload: string, keyid: string, sig: string): string =>
  JSON.stringify({ payloadType, payload, signatures: [{ keyid, sig }] });

/** Exactly these bytes are stored, sent and digested. */
export function signEnvelope(payloadType: string, payload: Uint8Array, signer: Signer): Uint8Array {
  const signature = signer.sign(pae(payloadType, payload));
  return utf8.encode(encode(payloadType, toBase64(payload), signer.keyid, toBase64(signature)));
}

/**
 * The payload, once size, form, payload type and signature have passed. What was verified is what is to be parsed: nothing
 * is serialised again.
 *
 * @param verifierOf the key that the caller trusts under a key id; the id itself is only a hint
 */
export function openEnvelope(
  bytes: Uint8Array,
  payloadType: string,
  verifierOf: (keyid: string) => Verifier | undefined,
): Checked<OpenedEnvelope, EnvelopeCode> {
  const sized = checkSize(bytes);
  if (!sized.ok) return sized;
  const read = readEnvelope(bytes);
  if (!read.ok) return read;
  const typed = checkPayloadType(read.value, payloadType);
  if (!typed.ok) return typed;
  const verifier = verifierOf(read.value.keyid);
  if (verifier === undefined) return refuse('SIGNER_UNKNOWN', 'expected a known key', { got: read.value.keyid });
  const signed = checkSignature(read.value, verifier);
  if (!signed.ok) return signed;
  const { payload, keyid, digest } = read.value;
  return accept({ payload, keyid, digest });
}

/** Before anything is parsed: a peer's bytes are held in memory while they are judged. */
export function checkSize(bytes: Uint8Array): Checked<null, 'ENVELOPE_TOO_LARGE'> {
  if (bytes.length <= EVENT_BYTES_MAX) return accept(null);
  return refuse('ENVELOPE_TOO_LARGE', 'expected a smaller envelope', {
    expected: `at most ${EVENT_BYTES_MAX} bytes`,
    got: `${bytes.length} bytes`,
  });
}

/**
 * Form only. DSSE signs neither the spelling of the JSON nor the list of signatures, so a bus could re-spell an envelope,
 * or add a signature, and make a second digest for one position: a fork that the publisher never made. Hence one spelling
 * and one signature, until a second one (ML-DSA) is made part of the event language.
 */
export function readEnvelope(bytes: Uint8Array): Checked<ReadEnvelope, 'ENVELOPE_MALFORMED' | 'ENVELOPE_NOT_CANONICAL'> {
  const json = parseStrictJson(bytes);
  if (!json.ok) return refuse('ENVELOPE_MALFORMED', `expected a DSSE envelope: ${json.text}`);
  const parsed = dsseEnvelope.safeParse(json.value);
  const signature = parsed.data?.signatures[0];
  if (parsed.data === undefined || signature === undefined) {
    return refuse('ENVELOPE_MALFORMED', 'expected payloadType, payload and signatures of DSSE 1.0.2');
  }
  if (parsed.data.signatures.length !== 1) return refuse('ENVELOPE_MALFORMED', 'expected one signature', { got: '2' });
  const payload = fromBase64(parsed.data.payload);
  const sig = fromBase64(signature.sig);
  // Decoded and encoded again: base64 with stray trailing bits is a second spelling, too.
  const canonical = utf8.encode(encode(parsed.data.payloadType, toBase64(payload), signature.keyid, toBase64(sig)));
  if (!equalBytes(bytes, canonical)) return refuse('ENVELOPE_NOT_CANONICAL', 'expected the canonical spelling of the envelope');
  return accept({
    payloadType: parsed.data.payloadType,
    payload,
    keyid: signature.keyid,
    signature: sig,
    digest: sha256Hex(bytes),
  });
}

export function checkPayloadType(envelope: ReadEnvelope, expected: string): Checked<null, 'PAYLOAD_TYPE_UNEXPECTED'> {
  if (envelope.payloadType === expected) return accept(null);
  return refuse('PAYLOAD_TYPE_UNEXPECTED', 'expected another payload type', { expected, got: envelope.payloadType });
}

export function checkSignature(envelope: ReadEnvelope, verifier: Verifier): Checked<null, 'SIGNATURE_INVALID'> {
  if (verifier.verify(pae(envelope.payloadType, envelope.payload), envelope.signature)) return accept(null);
  return refuse('SIGNATURE_INVALID', 'expected a signature over these bytes', {
    got: `a bad signature under key ${envelope.keyid}`,
  });
}

/** Public bytes: no need for constant time. */
function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
