import { type Event, type EventOf, type MigrationEvent, type PolicyDecision, unreachable } from '@carnet/events';
import type { MigrationState } from '@carnet/saga';
import { type Checked, positionOf, type Refusal } from '@carnet/trust';
import type { Finding } from '../report.ts';
import { checkPinned, type Identify } from './agents.ts';
import { checkApproval } from './approvals.ts';
import { checkBreakGlass } from './break-glass.ts';
import { type Escrows, isEscrowEvent } from './escrows.ts';
import { checkEvidence } from './evidence.ts';
import type { Findings } from './findings.ts';
import type { Folded } from './journeys.ts';
import type { Witnessed } from './key-history.ts';
import { checkOrder } from './order.ts';
import { checkReceipts } from './receipts.ts';
import type { LedgerReplay, PlacedEvent } from './replay.ts';
import { checkRequest } from './request.ts';
import { onGlass, onIntent, type Rules } from './rules.ts';

export type Inspection = {
  readonly identify: Identify;
  readonly rules: Rules;
  readonly escrows: Escrows;
  readonly witnessed: Witnessed;
  readonly findings: Findings;
};

const where = (
  { ledger: { publisher, audience } }: LedgerReplay,
  { digest, payload }: PlacedEvent,
): Pick<Finding, 'ledger' | 'seq' | 'digest' | 'migration'> => ({
  ledger: { publisher, audience },
  seq: positionOf(payload.seq),
  digest,
  ...(payload.migration === undefined ? {} : { migration: payload.migration }),
});

const told = ({ code, text, expected, got }: Refusal<string>): Pick<Finding, 'code' | 'text' | 'expected' | 'got'> => ({
  code,
  text,
  ...(expected === undefined ? {} : { expected }),
  ...(got === undefined ? {} : { got }),
});

/**
 * Everything that signatures and chain do not say about a placed event: void events are noticed, for they mean nothing; a valid
 * event whose evidence, request, policy or order does not hold is a violation, for its publisher signed it.
 */
export function inspect(
  { identify, rules, escrows, witnessed, findings }: Inspection,
  ledger: LedgerReplay,
  placed: PlacedEvent,
  folded: Folded | undefined,
): void {
  const at = where(ledger, placed);
  const voidCode =
    placed.voidCode ?? (folded !== undefined && 'voidCode' in folded.outcome ? folded.outcome.voidCode : undefined);
  if (voidCode !== undefined)
    findings.notice({ ...at, code: voidCode, text: `${placed.payload.type} is void: it counts for nobody` });
  if (placed.event !== undefined) noticeRevocation(findings, at, placed.event);
  if (placed.event?.type === 'PolicyAnnounced') {
    const announced = rules.announce(placed.event);
    if (!announced.ok) findings.violate({ ...at, ...told(announced) });
  }
  if (voidCode === undefined && (placed.event?.type === 'KeyAnnounced' || placed.event?.type === 'KeyStateChanged'))
    witnessed.note(placed.event, { seq: at.seq, digest: placed.digest });
  if (placed.event !== undefined && voidCode === undefined && isEscrowEvent(placed.event)) {
    const judged = escrows.judge(placed.event);
    if (!judged.ok) findings.violate({ ...at, ...told(judged) });
    else if (judged.value !== null) findings.notice({ ...at, ...judged.value });
  }
  if (folded === undefined || !('migration' in folded.outcome)) return;
  const { migration } = folded.outcome;
  for (const checked of judge({ identify, rules }, ledger, migration, folded.event))
    if (!checked.ok) findings.violate({ ...at, ...told(checked) });
  if (folded.event.type === 'MigrationIntended' && folded.event.data.request.via !== 'signature') {
    const { principal, via } = folded.event.data.request;
    findings.notice({ ...at, code: 'REQUEST_VOUCHED', text: `${principal} asked by ${via}: the broker alone vouches for it` });
  }
}

/** What is placed stays placed: whoever reads it is told that its key was no longer trusted by its owner. */
function noticeRevocation(findings: Findings, at: Pick<Finding, 'ledger' | 'seq' | 'digest'>, event: Event): void {
  if (event.type !== 'KeyRevoked' || positionOf(event.data.lastSeq) >= at.seq - 1) return;
  const text = `positions ${positionOf(event.data.lastSeq) + 1} to ${at.seq - 1} may be signed by a key that its owner no longer vouches for`;
  findings.notice({ ...at, code: 'REVOKED_KEY_SIGNED', text, expected: `last position ${event.data.lastSeq}` });
}

type Judging = Pick<Inspection, 'identify' | 'rules'>;

function* judge(
  judging: Judging,
  ledger: LedgerReplay,
  m: MigrationState,
  event: MigrationEvent,
): Generator<Checked<null, string>> {
  yield* judgeAgreement(judging, ledger, m, event);
  yield checkEvidence(judging.identify, m, event);
  yield checkOrder(m);
  yield checkReceipts(m);
}

/** Who asked, what policy said, which agents were pinned. */
function* judgeAgreement(
  { identify, rules }: Judging,
  ledger: LedgerReplay,
  m: MigrationState,
  event: MigrationEvent,
): Generator<Checked<null, string>> {
  switch (event.type) {
    case 'MigrationIntended':
      if (event.data.request.via === 'signature') yield checkRequest(identify, event, event.data.request, ledger.issuers);
      for (const approval of event.data.approvals ?? []) yield checkApproval(identify, event, approval, ledger.issuers);
      yield checkAllowed(event.publisher, event.data.policy.allowed);
      yield decided(rules, m, event, event.data.policy);
      return;
    case 'MigrationOffered':
      yield checkAllowed(event.publisher, event.data.policy.allowed);
      yield decided(rules, m, event, event.data.policy);
      yield agentChecked(checkPinned(identify, event.data.agent, m.target, event.time), event.data.agent.host);
      return;
    case 'OfferAgreed':
      yield agentChecked(checkPinned(identify, event.data.agent, m.source, event.time), event.data.agent.host);
      return;
    case 'BreakGlassResumed':
      yield checkBreakGlass(identify, m, event, ledger.issuers);
      yield* glassDecided(rules, m, event);
      return;
    case 'MigrationRefused':
      if (event.data.policy !== undefined) yield decided(rules, m, event, event.data.policy);
      return;
    case 'KeyDeposited':
    case 'DepositAcknowledged':
    case 'ImageSealed':
    case 'ImageVerified':
    case 'TargetReady':
    case 'SourceQuiesced':
    case 'KeyReleased':
    case 'KeyImported':
    case 'StartAuthorized':
    case 'VmStarted':
    case 'VmHealthy':
    case 'VolumeRekeyed':
    case 'MigrationFinalized':
    case 'SourceRetired':
    case 'MigrationWithdrawn':
    case 'MigrationRelinquished':
    case 'SourceResumed':
    case 'CopyFenced':
    case 'CopyDiscarded':
      return;
    default:
      unreachable(event);
  }
}

function decided(
  rules: Rules,
  m: MigrationState,
  event: EventOf<'MigrationIntended' | 'MigrationOffered' | 'MigrationRefused'>,
  decision: PolicyDecision,
): Checked<null, string> {
  const data = m.facts.MigrationIntended?.data;
  if (data === undefined) return { ok: true, value: null };
  const action = event.type === 'MigrationIntended' ? 'send' : 'receive';
  return rules.judge(onIntent({ at: event, time: event.time }, decision, { ...data, epoch: m.epoch }, action));
}

function* glassDecided(rules: Rules, m: MigrationState, event: EventOf<'BreakGlassResumed'>): Generator<Checked<null, string>> {
  const { policy, persons } = event.data;
  const { MigrationIntended: intent, KeyReleased: released } = m.facts;
  if (policy === undefined) yield rules.unquoted(event);
  if (policy === undefined || intent === undefined || released === undefined) return;
  const glass = { ...intent.data, released: released.time };
  const principals = persons.map(({ principal }) => principal);
  for (const decided of onGlass({ at: event, time: event.time }, policy, glass, principals)) yield rules.judge(decided);
}

const checkAllowed = (csp: string, allowed: boolean): Checked<null, 'POLICY_DENIED'> =>
  allowed
    ? { ok: true, value: null }
    : { ok: false, code: 'POLICY_DENIED', text: `${csp} went on against its own policy`, expected: 'allowed', got: 'denied' };

const agentChecked = (checked: Checked<null, string>, host: string): Checked<null, string> =>
  checked.ok ? checked : { ...checked, code: 'AGENT_REFUSED', text: `agent ${host}: ${checked.code}: ${checked.text}` };
