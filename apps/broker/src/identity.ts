import { createPrivateKey } from 'node:crypto';
import { statSync } from 'node:fs';
import { timestamp } from '@carnet/events';
import type { EventSigner, Introduction } from '@carnet/journal';
import { loadLeaf, type OwnLeaf, readPrivateText } from '@carnet/pki';
import { ed25519Signer } from '@carnet/trust';

/** Who this broker is: its X.509 leaf (TLS, commands to hosts) and its Ed25519 event key (ledgers). */
export type BrokerIdentity = OwnLeaf & { readonly eventSigner: EventSigner; readonly introduction: Introduction };

export function loadIdentity(files: {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly eventKeyFile: string;
}): BrokerIdentity {
  const leaf = loadLeaf(files);
  const notBefore = timestamp.parse(statSync(files.eventKeyFile).mtime.toISOString());
  return {
    ...leaf,
    eventSigner: ed25519Signer(createPrivateKey(readPrivateText(files.eventKeyFile))),
    introduction: { chain: leaf.chain, signer: leaf.signer, notBefore },
  };
}
