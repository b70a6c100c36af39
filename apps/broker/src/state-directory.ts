import { join } from 'node:path';
import { openTrustFiles } from '@carnet/pki';
import type { BrokerConfig } from './config.ts';

type At = Pick<BrokerConfig, 'stateDirectory'>;

/** What was told, by ledger, and copies of keys that came: what a restored database does not bring back. Beside each other, outside of it. */
export const headDirOf = ({ stateDirectory }: At): string => join(stateDirectory, 'heads');
export const spareDirOf = ({ stateDirectory }: At): string => join(stateDirectory, 'spares');

/** The federation's root and revocation lists; the highest list numbers seen so far are remembered here. */
export const openTrust = (
  { trust: { rootFile, crlDirectory }, stateDirectory }: At & Pick<BrokerConfig, 'trust'>,
  nowMs: () => number,
) => openTrustFiles({ rootFile, crlDirectories: [crlDirectory], marksFile: join(stateDirectory, 'crl-numbers.json') }, nowMs);
