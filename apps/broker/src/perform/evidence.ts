import { X509Certificate } from 'node:crypto';
import { type Digest, type Evidence, evidence, PAYLOAD_TYPES, type PinnedAgent, type SignedEvidence } from '@carnet/events';
import { rsaPssVerifier } from '@carnet/pki';
import { accept, type Checked, openEnvelope, parseStrictJson, refuse, type Verifier } from '@carnet/trust';
import { leafDigestOf, type Owed, type PerformContext } from './context.ts';

/** What evidence must be about to count: a true word about another VM, epoch or host proves nothing. */
export type About = Pick<Evidence, 'kind' | 'domain' | 'vm' | 'migration' | 'epoch'>;

/** Evidence as an event brings it. */
export interface Claim {
  readonly signed: SignedEvidence | undefined;
  /** Whom the offer or the agreement pins. */
  readonly agent: PinnedAgent;
  readonly about: About;
  /** The event that carries it. */
  readonly event: Digest;
}

/** `EVIDENCE_UNJUDGED` may pass: it is looked at again. */
type Step<T> = Checked<T, 'EVIDENCE_INVALID' | 'EVIDENCE_UNJUDGED'>;
const invalid = (text: string) => refuse('EVIDENCE_INVALID', text);

/**
 * Whether this is the word of the agent that was pinned: signed by a leaf that names exactly its host, under the pinned intermediate,
 * and that was good when the event came to stand here, by our clock. The pinned leaf itself may have been renewed since; a leaf that
 * had ended or was revoked by then is no witness, pinned or not.
 */
export async function checkEvidence(
  { ledgers, peers }: Pick<PerformContext, 'ledgers' | 'peers'>,
  { signed, agent, about, event }: Claim,
): Promise<Step<Evidence>> {
  if (signed === undefined) return invalid('there is no evidence');
  const leaf = signed.certificate ?? agent.chain[0] ?? '';
  const said = openTestimony(signed, leaf);
  if (said === undefined)
    return invalid('the evidence is not signed by the agent that was pinned, nor by the leaf that comes with it');
  const placedAt = await ledgers.placedAt(event);
  if (placedAt === undefined) return invalid('the event that carries the evidence is not in a ledger here');
  const fault = peers.witnessFault(about.domain, { host: agent.host, chain: [leaf, ...agent.chain.slice(1)] }, placedAt);
  if (fault !== undefined) return refuse(fault.code === 'EVIDENCE_UNJUDGED' ? fault.code : 'EVIDENCE_INVALID', fault.text);
  return differing(said, about, agent) ?? { ok: true, value: said };
}

function differing(said: Evidence, about: About, agent: PinnedAgent): Step<never> | undefined {
  const expected = { ...about, host: agent.host };
  const names = ['kind', 'domain', 'host', 'vm', 'migration', 'epoch'] as const;
  const wrong = names.find((name) => said[name] !== expected[name]);
  return wrong === undefined
    ? undefined
    : invalid(`the evidence is about another ${wrong}: expected ${expected[wrong]}, got ${said[wrong]}`);
}

/** Verified and parsed: the bytes that were signed are the bytes that are read. */
function openTestimony({ payloadType, payload, signatures }: SignedEvidence, leaf: string): Evidence | undefined {
  const verifier = verifierOf(leaf);
  if (verifier === undefined) return undefined;
  const named = leafDigestOf([leaf]);
  const opened = openEnvelope(
    Buffer.from(JSON.stringify({ payloadType, payload, signatures })),
    PAYLOAD_TYPES.evidence,
    (keyid) => (keyid === named ? verifier : undefined),
  );
  if (!opened.ok) return undefined;
  const json = parseStrictJson(opened.value.payload);
  return json.ok ? evidence.safeParse(json.value).data : undefined;
}

function verifierOf(leaf: string): Verifier | undefined {
  try {
    return rsaPssVerifier(new X509Certificate(Buffer.from(leaf, 'base64')).publicKey);
  } catch {
    // Not a certificate, or not an RSA key: nobody signs with it.
    return undefined;
  }
}

/**
 * Whether the guest ran before the source stopped it: then, and only then, it runs at the target. Not known now is no answer: what the target
 * authorises is for good, and a VM that ran would stay off.
 */
export async function quiescedWhileRunning(
  context: PerformContext,
  command: Owed<'AuthorizeStart'>,
): Promise<Checked<boolean, 'EVIDENCE_UNJUDGED'>> {
  const { SourceQuiesced: quiesced, OfferAgreed: agreed } = command.facts;
  const found = await checkEvidence(context, {
    signed: quiesced.data.evidence,
    agent: agreed.data.agent,
    about: { ...command, domain: command.peer, kind: 'stopped' },
    event: quiesced.digest,
  });
  if (found.ok) return accept(found.value.facts['was'] === 'running');
  return found.code === 'EVIDENCE_UNJUDGED' ? refuse(found.code, found.text) : accept(false);
}
