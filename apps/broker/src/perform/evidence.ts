import { X509Certificate } from 'node:crypto';
import { type Evidence, evidence, PAYLOAD_TYPES, type PinnedAgent, type SignedEvidence } from '@carnet/events';
import { rsaPssVerifier } from '@carnet/pki';
import { openEnvelope, parseStrictJson } from '@carnet/trust';
import { leafDigestOf, type Owed } from './context.ts';

/**
 * What an agent testified, if it was the pinned one. Its chain was validated when it was pinned; the pin, not today's validity of
 * the certificate, decides whose word this is.
 */
export function readEvidence(signed: SignedEvidence, agent: PinnedAgent): Evidence | undefined {
  const leaf = new X509Certificate(Buffer.from(agent.chain[0] ?? '', 'base64'));
  const verifier = rsaPssVerifier(leaf.publicKey);
  const pinned = leafDigestOf(agent.chain);
  const opened = openEnvelope(Buffer.from(JSON.stringify(signed)), PAYLOAD_TYPES.evidence, (keyid) => (keyid === pinned ? verifier : undefined));
  if (!opened.ok) return undefined;
  const json = parseStrictJson(opened.value.payload);
  return json.ok ? evidence.safeParse(json.value).data : undefined;
}

/** Whether the guest ran before the source stopped it: then, and only then, it runs at the target. */
export function quiescedWhileRunning(command: Owed<'AuthorizeStart'>): boolean {
  const { SourceQuiesced: quiesced, OfferAgreed: agreed } = command.facts;
  const found = readEvidence(quiesced.data.evidence, agreed.data.agent);
  return found?.facts['was'] === 'running';
}
