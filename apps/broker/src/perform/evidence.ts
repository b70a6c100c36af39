import { X509Certificate } from 'node:crypto';
import { type Evidence, evidence, PAYLOAD_TYPES, type PinnedAgent, type SignedEvidence } from '@carnet/events';
import { rsaPssVerifier } from '@carnet/pki';
import { openEnvelope, parseStrictJson, type Verifier } from '@carnet/trust';
import { leafDigestOf, type Owed } from './context.ts';

/**
 * What an agent testified, if it was the pinned one. Its chain was validated when it was pinned; the pin, not today's validity of
 * the certificate, decides whose word this is.
 */
export function readEvidence(signed: SignedEvidence, agent: PinnedAgent): Evidence | undefined {
  const verifier = verifierOf(agent);
  if (verifier === undefined) return undefined;
  const pinned = leafDigestOf(agent.chain);
  const opened = openEnvelope(Buffer.from(JSON.stringify(signed)), PAYLOAD_TYPES.evidence, (keyid) =>
    keyid === pinned ? verifier : undefined,
  );
  if (!opened.ok) return undefined;
  const json = parseStrictJson(opened.value.payload);
  return json.ok ? evidence.safeParse(json.value).data : undefined;
}

function verifierOf({ chain }: PinnedAgent): Verifier | undefined {
  try {
    return rsaPssVerifier(new X509Certificate(Buffer.from(chain[0] ?? '', 'base64')).publicKey);
  } catch {
    // Not a certificate, or not an RSA key: nobody signs with it.
    return undefined;
  }
}

/** What evidence must be about to count: a true word about another VM, epoch or host proves nothing. */
export type About = Pick<Evidence, 'kind' | 'domain' | 'vm' | 'migration' | 'epoch'>;

export function checkEvidence(signed: SignedEvidence | undefined, agent: PinnedAgent, about: About): Evidence | undefined {
  const found = signed === undefined ? undefined : readEvidence(signed, agent);
  if (found === undefined) return undefined;
  const { kind, domain, vm, migration, epoch } = about;
  const fits =
    found.kind === kind &&
    found.domain === domain &&
    found.host === agent.host &&
    found.vm === vm &&
    found.migration === migration &&
    found.epoch === epoch;
  return fits ? found : undefined;
}

/** Whether the guest ran before the source stopped it: then, and only then, it runs at the target. */
export function quiescedWhileRunning(command: Owed<'AuthorizeStart'>): boolean {
  const { SourceQuiesced: quiesced, OfferAgreed: agreed } = command.facts;
  const found = readEvidence(quiesced.data.evidence, agreed.data.agent);
  return found?.facts['was'] === 'running';
}
