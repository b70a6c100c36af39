import type { Digest, Timestamp, TrustDomain } from '@carnet/events';
import type { TlsMaterial, TrustStore } from '@carnet/pki';
import type { ServiceRefusal } from '../service/result.ts';
import type { Card } from './card.ts';
import { UNCONFIRMED_MS_MAX } from './limits.ts';
import { isTrusted, type Peering, type PeeringStore } from './table.ts';

/** What either side of an exchange needs of its broker. */
export interface PeeringPorts {
  readonly self: TrustDomain;
  readonly rows: PeeringStore;
  /** `anew`: with what was put into the folder of lists just now. */
  readonly trust: (anew?: boolean) => TrustStore;
  readonly tls: TlsMaterial;
  /** SHA-256 of the root above our own authority, and of all that are trusted here. */
  readonly root: () => Digest;
  readonly roots: () => readonly Digest[];
  /** Our own card, as of now. */
  readonly ownCard: () => Card;
  /** Peers of the configuration: an invitation never touches them. */
  readonly configured: readonly TrustDomain[];
  readonly random: (bytes: number) => Uint8Array;
  readonly nowMs: () => number;
  readonly now: () => Timestamp;
}

export const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/** Why no further peering may begin with this domain. Anchors that are held are never replaced: the peer is removed first. */
export async function takenFault(
  { self, configured }: Pick<PeeringPorts, 'self' | 'configured'>,
  rows: Pick<PeeringStore, 'peering'>,
  domain: TrustDomain,
): Promise<ServiceRefusal | undefined> {
  if (domain === self) return refuse('PEERING_SELF', `${domain} is this CSP itself`);
  if (configured.includes(domain)) return refuse('PEER_EXISTS', `${domain} is a peer by this broker's configuration`);
  const held = await rows.peering(domain);
  return held === undefined ? undefined : refuse('PEER_EXISTS', `${domain} is a peer, or about to be one: remove it first`);
}

/** An exchange that people left alone for too long. */
export const isStale = (peering: Peering, nowMs: number): boolean =>
  !isTrusted(peering) && !(nowMs - Date.parse(peering.startedAt) < UNCONFIRMED_MS_MAX);
