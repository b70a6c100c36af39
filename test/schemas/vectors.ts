import { PAYLOAD_TYPES, type PayloadType } from '@carnet/events';
import { pae, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import type { Identity } from './identity.ts';
import { textOf } from './json-schemas.ts';
import { eventKey, keyAnnounced, migrationIntended, requestPayload } from './said.ts';

interface Vector {
  readonly about: string;
  readonly algorithm: 'Ed25519' | 'RSASSA-PSS, SHA-256, salt of 32 octets';
  readonly payloadType: PayloadType;
  readonly payload: Uint8Array;
  readonly signer: Signer;
}

/** The envelope as text, since its exact bytes are what is digested; the rest is what a verifier must find. */
function vectorOf({ about, algorithm, payloadType, payload, signer }: Vector): {
  readonly envelope: string;
  readonly digest: ReturnType<typeof sha256Hex>;
  readonly text: string;
} {
  const bytes = signEnvelope(payloadType, payload, signer);
  const envelope = Buffer.from(bytes).toString('utf8');
  const digest = sha256Hex(bytes);
  const shown = {
    about,
    envelope,
    digest,
    payloadType,
    payload: JSON.parse(Buffer.from(payload).toString('utf8')) as unknown,
    pae: Buffer.from(pae(payloadType, payload)).toString('hex'),
    algorithm,
    keyid: signer.keyid,
  };
  return { envelope, digest, text: textOf(shown) };
}

/** A signature that was made once, by a key that is gone. */
const committed = (certificate: string, signature: string): Signer => ({
  keyid: sha256Hex(Buffer.from(certificate, 'base64')),
  sign: () => Buffer.from(signature, 'base64'),
});

/** Path below `schemas/` → text. A ledger of two events, and the request that the second carries. */
export function vectors({ broker, scheduler }: Identity): ReadonlyMap<string, string> {
  const [schedulerLeaf = ''] = scheduler.chain;
  const request = vectorOf({
    about: "A scheduler's own signature over its request; the certificate stands in identity.json",
    algorithm: 'RSASSA-PSS, SHA-256, salt of 32 octets',
    payloadType: PAYLOAD_TYPES.request,
    payload: requestPayload,
    signer: committed(schedulerLeaf, scheduler.requestSignature),
  });
  const event = (about: string, said: object) =>
    vectorOf({
      about,
      algorithm: 'Ed25519',
      payloadType: PAYLOAD_TYPES.event,
      payload: Buffer.from(JSON.stringify(said)),
      signer: eventKey,
    });
  const first = event(
    'First event of a ledger: signed by the key that it announces; data.signature is that of the X.509 identity over the key statement',
    keyAnnounced(broker.chain, broker.statementSignature),
  );
  const second = event(
    'Second event: prev is the digest of the first; data.request.envelope is the envelope of request.json',
    migrationIntended(first.digest, JSON.parse(request.envelope) as object, schedulerLeaf),
  );
  const key = {
    about: 'The event key of these vectors. Its seed is the SHA-256 of "carnet test vector: event key": trust it nowhere',
    algorithm: 'Ed25519',
    publicKey: Buffer.from(eventKey.publicKey).toString('base64'),
    keyid: eventKey.keyid,
  };
  return new Map([
    ['vectors/key.json', textOf(key)],
    ['vectors/key-announced.json', first.text],
    ['vectors/event.json', second.text],
    ['vectors/request.json', request.text],
  ]);
}
