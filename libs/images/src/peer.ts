import { constants, createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { type Digest, digest } from '@carnet/events';
import { ImageError } from './outcome.ts';

/** Whether a peer's certificate path is acceptable (names, revocation): the PKI's judgement, given by the app. */
export type VerifyPeer = (socket: TLSSocket) => PeerVerdict | Promise<PeerVerdict>;
export interface PeerVerdict {
  readonly ok: boolean;
  readonly code?: string;
}

/**
 * What no caller can loosen. TLS 1.3 only; both certificates; no session tickets, since a resumed session shows no fresh
 * certificate; AES-256-GCM costs the same as AES-128 on processors with AES instructions.
 */
export const TLS_RULES = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
  rejectUnauthorized: true,
  requestCert: true,
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

/** A DNS label in front of the server's name, for a server that holds two leaves while one is being renewed. */
const PIN_CHARS = 32;
const NAME_CHARS_MAX = 253;

/** Server Name Indication that says which leaf the agreement pins. Only a hint: what comes is compared with the pin. */
export const pinnedServerName = (pin: Digest, serverName: string): string =>
  serverName.length + PIN_CHARS + 1 > NAME_CHARS_MAX ? serverName : `${pin.slice(0, PIN_CHARS)}.${serverName}`;

/** Whether a server name asks for this leaf. */
export const namesLeaf = (serverName: string, leaf: Digest | string): boolean =>
  serverName.startsWith(`${leaf.slice(0, PIN_CHARS)}.`);

/** SHA-256 of the DER of the peer's leaf: what Offer and Agreed pin. */
export function leafDigest(socket: TLSSocket): Digest {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new ImageError('TLS_NOT_TRUSTED', { expected: 'a certificate', got: 'none' });
  return digest.parse(createHash('sha256').update(certificate.raw).digest('hex'));
}

/** After the handshake: version, trust, then the PKI's judgement. The pin is compared by each side against what it knows. */
export async function checkPeer(socket: TLSSocket, verifyPeer: VerifyPeer): Promise<Digest> {
  if (socket.getProtocol() !== 'TLSv1.3')
    throw new ImageError('TLS_NOT_TRUSTED', { expected: 'TLSv1.3', got: socket.getProtocol() ?? 'none' });
  if (!socket.authorized) throw new ImageError('TLS_NOT_TRUSTED', { got: String(socket.authorizationError) });
  const leaf = leafDigest(socket);
  const verdict = await verifyPeer(socket);
  if (!verdict.ok) throw new ImageError('TLS_NOT_TRUSTED', { got: verdict.code ?? 'refused' });
  return leaf;
}
