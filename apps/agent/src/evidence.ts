import { PAYLOAD_TYPES, signedEvidence } from '@carnet/events';
import type { EvidenceSigner } from '@carnet/hypervisor';
import type { OwnLeaf } from '@carnet/pki';
import { signEnvelope } from '@carnet/trust';

/** Evidence as it goes into events, with the leaf that signed it: the agreement may pin an earlier one of this agent. */
export const evidenceSigner =
  (leaf: () => OwnLeaf): EvidenceSigner =>
  (evidence) => {
    const { signer, chain } = leaf();
    const bytes = signEnvelope(PAYLOAD_TYPES.evidence, Buffer.from(JSON.stringify(evidence)), signer);
    return signedEvidence.parse({ ...JSON.parse(Buffer.from(bytes).toString('utf8')), certificate: chain[0] });
  };
