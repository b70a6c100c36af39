import type { TrustDomain } from '@carnet/events';

/** Peers of now. `peers` is one list that everybody may keep: it changes in place as peers come and go. */
export type Roster = {
  readonly peers: readonly TrustDomain[];
  readonly has: (peer: TrustDomain) => boolean;
  readonly add: (peer: TrustDomain) => void;
  readonly remove: (peer: TrustDomain) => void;
  /** Of each that comes or goes from now on. */
  readonly subscribe: (heard: (peer: TrustDomain, change: 'came' | 'went') => void) => () => void;
};

export function openRoster(): Roster {
  const peers: TrustDomain[] = [];
  const subscribers = new Set<(peer: TrustDomain, change: 'came' | 'went') => void>();
  const tell = (peer: TrustDomain, change: 'came' | 'went'): void => {
    for (const heard of subscribers) heard(peer, change);
  };
  return {
    peers,
    has: (peer) => peers.includes(peer),
    add: (peer) => {
      if (peers.includes(peer)) return;
      peers.push(peer);
      tell(peer, 'came');
    },
    remove: (peer) => {
      const at = peers.indexOf(peer);
      if (at === -1) return;
      peers.splice(at, 1);
      tell(peer, 'went');
    },
    subscribe: (heard) => {
      subscribers.add(heard);
      return () => subscribers.delete(heard);
    },
  };
}
