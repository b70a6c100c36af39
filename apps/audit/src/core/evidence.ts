import {
  CLOCK_SKEW_MS_MAX,
  type EvidenceKind,
  evidence,
  type MigrationEvent,
  PAYLOAD_TYPES,
  type PinnedAgent,
  type SignedEvidence,
  type Timestamp,
  type TrustDomain,
} from '@carnet/events';
import { epochAfter, type MigrationState, type Side } from '@carnet/saga';
import { accept, type Checked, openEnvelope, parseStrictJson, refuse } from '@carnet/trust';
import { checkPinned, type Identify, keyOfPinned } from './agents.ts';

type EvidenceCode = 'EVIDENCE_REFUSED' | 'EVIDENCE_DIFFERS' | 'EVIDENCE_MISSING';
type Step = Checked<null, EvidenceCode>;

/** A testimony that an event must, or may, carry. */
type Claim = {
  readonly kind: EvidenceKind;
  readonly side: Side;
  readonly signed: SignedEvidence | undefined;
  readonly isOwed: boolean;
};

/** What each event claims that only a host can know. */
function claimsOf(m: MigrationState, event: MigrationEvent): readonly Claim[] {
  const owed = (kind: EvidenceKind, side: Side, signed: SignedEvidence | undefined): Claim => ({
    kind,
    side,
    signed,
    isOwed: true,
  });
  switch (event.type) {
    case 'SourceQuiesced':
      return [owed(m.facts.MigrationIntended?.data.mode === 'suspend' ? 'saved' : 'stopped', 'source', event.data.evidence)];
    case 'VmStarted':
      return [owed('started', 'target', event.data.evidence)];
    case 'VmHealthy':
      return [owed('healthy', 'target', event.data.evidence)];
    case 'VolumeRekeyed':
      if (event.data.method === 'none') return [];
      return [owed(event.data.method === 'full-online' ? 'reencrypted' : 'rekeyed', 'target', event.data.evidence)];
    case 'SourceRetired':
      return [owed('destroyed', 'source', event.data.receipt.evidence)];
    case 'SourceResumed':
      // A source that says it runs again says so as a host's word; one that never stopped may have none.
      return [{ kind: 'resumed', side: 'source', signed: event.data.evidence, isOwed: event.data.ran }];
    case 'CopyFenced':
      return [owed('surrendered', 'target', event.data.evidence)];
    case 'CopyDiscarded':
      return [owed('destroyed', 'target', event.data.receipt.evidence)];
    case 'MigrationRelinquished':
      return [
        {
          kind: 'destroyed',
          side: 'target',
          signed: event.data.receipt.evidence,
          isOwed: event.data.receipt.method !== 'none-held',
        },
        // Whether it is owed is a matter of the fold: without it the event would be void.
        { kind: 'never', side: 'target', signed: event.data.never, isOwed: false },
      ];
    default:
      return [];
  }
}

/** Every testimony inside a valid event: signed by the agent of the host that the agreement pins, about this very step. */
export function checkEvidence(identify: Identify, m: MigrationState, event: MigrationEvent): Step {
  for (const claim of claimsOf(m, event)) {
    const checked = checkClaim(identify, m, event, claim);
    if (!checked.ok) return checked;
  }
  return accept(null);
}

function checkClaim(identify: Identify, m: MigrationState, event: MigrationEvent, { kind, side, signed, isOwed }: Claim): Step {
  if (signed === undefined) {
    return isOwed ? refuse('EVIDENCE_MISSING', `${event.type} has no evidence`, { expected: kind, got: 'none' }) : accept(null);
  }
  const agent = side === 'source' ? m.facts.OfferAgreed?.data.agent : m.facts.MigrationOffered?.data.agent;
  if (agent === undefined) return refuse('EVIDENCE_REFUSED', `no agent of the ${side} was pinned`);
  const witness = witnessOf(identify, m[side], agent, signed, event.time);
  if (!witness.ok) return witness;
  const testimony = openTestimony(signed, agent, witness.value);
  if (!testimony.ok) return testimony;
  return checkContent(m, event, { kind, domain: m[side], agent }, testimony.value);
}

/**
 * Whose leaf the testimony is signed by: the pinned one, or another of the same agent of the same host under the pinned intermediate,
 * since leaves are renewed. Judged as of the event, as brokers judge it when it reaches them.
 */
function witnessOf(
  identify: Identify,
  domain: TrustDomain,
  agent: PinnedAgent,
  { certificate }: SignedEvidence,
  at: Timestamp,
): Checked<PinnedAgent, EvidenceCode> {
  const witness = { host: agent.host, chain: [certificate ?? agent.chain[0] ?? '', ...agent.chain.slice(1)] };
  const path = checkPinned(identify, witness, domain, at);
  if (path.ok) return accept(witness);
  return refuse('EVIDENCE_REFUSED', `${path.code}: the leaf under the testimony was not that of agent ${agent.host} then`, {
    expected: `signed by agent ${agent.host} of ${domain}`,
  });
}

function openTestimony({ payloadType, payload, signatures }: SignedEvidence, agent: PinnedAgent, witness: PinnedAgent) {
  const key = keyOfPinned(witness);
  // The members stand in the order of an envelope's one spelling.
  const bytes = Buffer.from(JSON.stringify({ payloadType, payload, signatures }));
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.evidence, (keyid) => (keyid === key?.keyid ? key.verifier : undefined));
  if (!opened.ok)
    return refuse('EVIDENCE_REFUSED', `${opened.code}: ${opened.text}`, {
      ...opened,
      expected: opened.expected ?? `signed by agent ${agent.host}`,
    });
  const json = parseStrictJson(opened.value.payload);
  const parsed = json.ok ? evidence.safeParse(json.value) : undefined;
  return parsed?.success === true ? accept(parsed.data) : refuse('EVIDENCE_REFUSED', 'the testimony does not match its schema');
}

type Expected = { readonly kind: EvidenceKind; readonly domain: TrustDomain; readonly agent: PinnedAgent };

/** A true testimony about another move, host or step must not be presented again. */
function checkContent(
  m: MigrationState,
  event: MigrationEvent,
  { kind, domain, agent }: Expected,
  said: ReturnType<typeof evidence.parse>,
): Step {
  const pairs: readonly (readonly [string, string | number, string | number])[] = [
    ['kind', kind, said.kind],
    ['domain', domain, said.domain],
    ['host', agent.host, said.host],
    ['vm', m.vm, said.vm],
    ['migration', m.id, said.migration],
    // A broken glass lets the source run again in the epoch that it opened.
    ['epoch', event.type === 'SourceResumed' ? epochAfter(m) : m.epoch, said.epoch],
  ];
  const differing = pairs.find(([, expected, got]) => expected !== got);
  if (differing !== undefined) {
    const [name, expected, got] = differing;
    return refuse('EVIDENCE_DIFFERS', `the testimony in ${event.type} is about another ${name}`, {
      expected: String(expected),
      got: String(got),
    });
  }
  // Written so that a time that is no number (NaN) is refused.
  if (Date.parse(said.time) <= Date.parse(event.time) + CLOCK_SKEW_MS_MAX) return accept(null);
  return refuse('EVIDENCE_DIFFERS', `the testimony in ${event.type} is dated after the event`, {
    expected: event.time,
    got: said.time,
  });
}
