import type { Digest, DsseEnvelope } from '@carnet/events';
import { openEnvelope, parseStrictJson, readEd25519Key, sha256Hex } from '@carnet/trust';

/** What policy sets are opened with, wherever decisions are made or made again. */
export const policyCrypto = {
  hash: (text: string): Digest => sha256Hex(Buffer.from(text)),
  signed: (envelope: DsseEnvelope, payloadType: string, publicKey: string): unknown => {
    const raw = Buffer.from(publicKey, 'base64');
    const opened = openEnvelope(Buffer.from(JSON.stringify(envelope)), payloadType, (keyid) =>
      keyid === sha256Hex(raw) ? readEd25519Key(raw) : undefined,
    );
    const json = opened.ok ? parseStrictJson(opened.value.payload) : opened;
    return json.ok ? json.value : undefined;
  },
  unverified: ({ payload }: DsseEnvelope): unknown => {
    const json = parseStrictJson(Buffer.from(payload, 'base64'));
    return json.ok ? json.value : undefined;
  },
} as const;
