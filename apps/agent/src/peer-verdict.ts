import type { Digest, Timestamp } from '@carnet/events';
import type { PeerVerdict } from '@carnet/images';
import { type TlsUsage, type TrustStore, validatePath } from '@carnet/pki';
import { sha256Hex } from '@carnet/trust';

export const leafDigestOf = (chain: readonly string[]): Digest => sha256Hex(Buffer.from(chain[0] ?? '', 'base64'));

/**
 * Judges the chain that an agreement pins, now: path, name constraints, CRLs. That the other end of the connection holds this
 * very leaf, the carrier compares itself. The chain comes from the agreement and not from the socket: Node's servers are
 * shown no intermediate, and its `getPeerX509Certificate` leaves nothing for a second question.
 */
export function judgePinned(chain: readonly string[], store: TrustStore, at: Timestamp, purpose: TlsUsage): PeerVerdict {
  const judged = validatePath({ ...store, chain, at, purpose });
  return judged.ok ? { ok: true } : { ok: false, code: judged.code };
}
