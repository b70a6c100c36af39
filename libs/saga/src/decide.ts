import {
  type DestructionReceipt,
  type Digest,
  type Draft,
  type Epoch,
  type EventData,
  GENESIS,
  type MigrationEvent,
  type MigrationId,
  type Reason,
  type SignedEvidence,
  type Timestamp,
  type TrustDomain,
} from '@carnet/events';
import { causesOf } from './causes.ts';
import { CODES, type RefusalCode } from './codes.ts';
import { judge } from './guard.ts';
import { type FactType, type Journey, type MigrationState, migrationOf, peerOf, type Side } from './journey.ts';
import { APPEND_MARGIN_MS } from './limits.ts';
import { STEPS, type Stated } from './steps.ts';
import { shift } from './time.ts';

type Proposed<T extends FactType> = { readonly type: T; readonly migration: MigrationId; readonly data: EventData<T> };

/** An event that a side would like to publish, or one of the three ways to end whose data follows from the journey. */
export type Proposal =
  | { readonly [T in Exclude<FactType, 'MigrationIntended'>]: Proposed<T> }[Exclude<FactType, 'MigrationIntended'>]
  /** `epoch`: above all that this CSP has seen of the VM, with any peer. */
  | (Proposed<'MigrationIntended'> & { readonly epoch: Epoch })
  | { readonly type: 'Withdraw'; readonly migration: MigrationId; readonly reason: Reason }
  | {
      readonly type: 'Relinquish';
      readonly migration: MigrationId;
      readonly reason: Reason;
      readonly receipt: DestructionReceipt;
      readonly never?: SignedEvidence;
    }
  | { readonly type: 'Resume'; readonly migration: MigrationId; readonly ran: boolean; readonly evidence?: SignedEvidence };

export type Decision =
  | { readonly ok: true; readonly draft: Draft<MigrationEvent> }
  | { readonly ok: false; readonly code: RefusalCode; readonly text: string };

const refused = (code: RefusalCode): Decision => ({ ok: false, code, text: CODES[code].text });

/**
 * Whether this CSP may publish what is proposed, and the draft with its causes filled. It refuses whatever the fold would
 * void, judged by the same guard a little ahead of `now` (the event is stamped later), and progress on what the peer ended.
 */
export function decide(journey: Journey, self: TrustDomain, proposal: Proposal, now: Timestamp): Decision {
  const side = sideThatSays(proposal.type);
  const { migration } = proposal;
  // What only the other side may say is refused as that.
  const m = migrationOf(journey, migration, self, side) ?? migrationOf(journey, migration, self, OTHER[side]);
  const said = inFull(m, proposal);
  if (said === undefined || (m === undefined && said.type !== 'MigrationIntended')) return refused('MIGRATION_UNKNOWN');
  if (m && pointless(m, self, said.type)) return refused('PEER_GAVE_UP');
  const epoch = said.type === 'MigrationIntended' ? said.epoch : m?.epoch;
  const audience = said.type === 'MigrationIntended' ? said.data.target : m && peerOf(m, m.source === self ? 'source' : 'target');
  if (epoch === undefined || audience === undefined) return refused('MIGRATION_UNKNOWN');
  // It is stamped later than now: what must come in time is judged ahead, what must not come early is judged at once.
  const time = said.type === 'BreakGlassResumed' ? now : shift(now, APPEND_MARGIN_MS);
  const uncaused: Stated = { ...said, epoch, causes: [], publisher: self, audience, time };
  const causes = causesOf(journey, m, uncaused);
  const judgement = judge(journey, { ...uncaused, causes }, NOT_SIGNED_YET);
  return judgement.ok ? { ok: true, draft: { ...said, epoch, causes } } : refused(judgement.code);
}

const OTHER = { source: 'target', target: 'source' } as const;
function sideThatSays(type: Proposal['type']): Side {
  if (type === 'Relinquish') return 'target';
  return type === 'Withdraw' || type === 'Resume' ? 'source' : STEPS[type].side;
}

/** The guard needs a digest for the event that does not exist yet; nothing cites it. */
const NOT_SIGNED_YET: Digest = GENESIS;

type InFull = Exclude<Proposal, { readonly type: 'Withdraw' | 'Relinquish' | 'Resume' }>;

/** The three endings take from the journey what they cite. */
function inFull(m: MigrationState | undefined, proposal: Proposal): InFull | undefined {
  const { migration } = proposal;
  const intent = m?.facts.MigrationIntended?.digest;
  switch (proposal.type) {
    case 'Withdraw':
      return intent && { type: 'MigrationWithdrawn', migration, data: { intent, reason: proposal.reason } };
    case 'Relinquish': {
      const { reason, receipt, never } = proposal;
      return intent && { type: 'MigrationRelinquished', migration, data: { intent, reason, receipt, ...(never && { never }) } };
    }
    case 'Resume': {
      const { ran, evidence } = proposal;
      const cites = (m?.facts.BreakGlassResumed ?? m?.facts.MigrationWithdrawn ?? m?.facts.MigrationRelinquished)?.digest;
      return cites && { type: 'SourceResumed', migration, data: { cites, ran, ...(evidence && { evidence }) } };
    }
    default:
      return proposal;
  }
}

/** What ends a migration, and what answers a broken glass: BreakGlassResumed has a code of its own (PEER_ANSWERED), which is the guard's. */
const NEVER_POINTLESS: ReadonlySet<FactType> = new Set<FactType>([
  'MigrationWithdrawn',
  'MigrationRelinquished',
  'SourceResumed',
  'BreakGlassResumed',
  'CopyFenced',
  'CopyDiscarded',
]);

/** Progress for a peer that has ended the migration: the fold would let it pass, since the two may cross on their way. */
function pointless(m: MigrationState, self: TrustDomain, type: FactType): boolean {
  if (NEVER_POINTLESS.has(type)) return false;
  if (m.source === self) return m.targetPhase === 'refused' || m.targetPhase === 'relinquished';
  return m.sourcePhase === 'withdrawn' || m.sourcePhase === 'reclaimed' || m.sourcePhase === 'resumed';
}
