import { dsseEnvelope, PAYLOAD_TYPES } from '@carnet/events';
import type { EvidenceSigner } from '@carnet/hypervisor';
import { type Signer, signEnvelope } from '@carnet/trust';

/** Evidence as it goes into events: an envelope signed by the leaf that the agreement pins. */
export const evidenceSigner =
  (signer: Signer): EvidenceSigner =>
  (evidence) => {
    const bytes = signEnvelope(PAYLOAD_TYPES.evidence, Buffer.from(JSON.stringify(evidence)), signer);
    return dsseEnvelope.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  };
