import type { Digest } from '@carnet/events';
import { CONNECTIONS_PER_PEER_MAX } from './limits.ts';

/** Transfers at once of one pinned peer. */
export interface PeerPlaces {
  /** Takes a place, or says that none is free. */
  enter(leaf: Digest): boolean;
  leave(leaf: Digest): void;
}

export function peerPlaces(): PeerPlaces {
  const taken = new Map<Digest, number>();
  return {
    enter(leaf) {
      const count = taken.get(leaf) ?? 0;
      if (count >= CONNECTIONS_PER_PEER_MAX) return false;
      taken.set(leaf, count + 1);
      return true;
    },
    leave(leaf) {
      const count = (taken.get(leaf) ?? 1) - 1;
      if (count === 0) taken.delete(leaf);
      else taken.set(leaf, count);
    },
  };
}
