import type { Timestamp } from '@carnet/events';
import type { TrustStore } from '../path.ts';
import type { TlsMaterial } from '../tls.ts';
import type { LiveLeaf } from './live-leaf.ts';

/** Of the leaf of now, whenever it is asked. */
export const tlsOf = (
  leaf: Pick<LiveLeaf, 'keyPem' | 'certificatePem'>,
  store: () => TrustStore,
  now: () => Timestamp,
): TlsMaterial => ({
  store,
  now,
  get keyPem() {
    return leaf.keyPem;
  },
  get chainPem() {
    return leaf.certificatePem;
  },
});
