import {
  CLOCK_SKEW_MS_MAX,
  type Digest,
  type EventOf,
  type PolicyAnnounced,
  type PolicyDecision,
  type Timestamp,
  type TrustDomain,
} from '@carnet/events';
import {
  type Announced,
  canonicalText,
  disagreement,
  downgradeOf,
  ENGINE,
  highestAnnounced,
  type Move,
  type PolicySet,
  questionAbout,
} from '@carnet/policy';
import { accept, type Checked, refuse } from '@carnet/trust';
import type { AuditedDecisions, LedgerName } from '../report.ts';

/** Policy sets that the auditor brought along, by digest. */
export type PolicySets = ReadonlyMap<Digest, PolicySet>;

type RuleCode = 'POLICY_DENIED' | 'POLICY_DOWNGRADED' | 'POLICY_NOT_ANNOUNCED' | 'POLICY_QUESTION_DIFFERS' | 'POLICY_DISAGREES';
export type Decided = {
  readonly at: LedgerName;
  readonly decision: PolicyDecision;
  /** What its event is about. */
  readonly intent: Move;
  readonly action: PolicyDecision['asked']['action'];
  /** Of the event. */
  readonly time: Timestamp;
};

/** Which rules each ledger announced, and whether every decision follows from them. Remembers what was announced last, and the highest. */
export type Rules = {
  readonly announce: (event: EventOf<'PolicyAnnounced'>) => Checked<null, RuleCode>;
  readonly judge: (decided: Decided) => Checked<null, RuleCode>;
  readonly counted: () => readonly AuditedDecisions[];
};

/** @param sets absent: decisions are held against their intents and announcements, and not put again */
export function openRules(sets: PolicySets = new Map()): Rules {
  const announced = new Map<string, PolicyAnnounced>();
  const highest = new Map<string, Announced>();
  const counts = new Map<TrustDomain, { quoted: number; replayed: number; otherEngine: number }>();
  const nameOf = ({ publisher, audience }: LedgerName): string => `${publisher} ${audience}`;
  const countOf = (csp: TrustDomain) => {
    const count = counts.get(csp) ?? { quoted: 0, replayed: 0, otherEngine: 0 };
    counts.set(csp, count);
    return count;
  };
  return {
    announce: (event) => {
      const name = nameOf(event);
      const before = highest.get(name);
      const refusal = downgradeOf({ announced: event.data }, before);
      announced.set(name, event.data);
      highest.set(name, highestAnnounced(before, event.data));
      return refusal === undefined ? accept(null) : refuse('POLICY_DOWNGRADED', refusal.text);
    },
    judge: (decided) => {
      const { decision } = decided;
      const count = countOf(decided.at.publisher);
      count.quoted++;
      const fault = notAnnounced(decision, announced.get(nameOf(decided.at))) ?? otherQuestion(decided);
      if (fault !== undefined) return fault;
      const set = sets.get(decision.policySet);
      if (set === undefined) return accept(null);
      if (decision.engine !== ENGINE) {
        count.otherEngine++;
        return accept(null);
      }
      const differing = disagreement(set, decided.intent, decision);
      if (differing !== undefined) return refuse('POLICY_DISAGREES', differing.text, differing);
      count.replayed++;
      return accept(null);
    },
    counted: () => [...counts].map(([csp, count]) => ({ csp, ...count })),
  };
}

function notAnnounced(
  { policySet, version, schema, entities, engine }: PolicyDecision,
  said: PolicyAnnounced | undefined,
): Checked<null, RuleCode> | undefined {
  const got = canonicalText({ policySet, version, schema, entities, engine });
  const { revocations: _, ...ruledBy } = said ?? {};
  const expected = said === undefined ? 'an announcement' : canonicalText(ruledBy);
  return got === expected
    ? undefined
    : refuse('POLICY_NOT_ANNOUNCED', 'the decision quotes another policy set than its ledger announced last', { expected, got });
}

/** The question must be the one that the intent puts, at the time of its event: a window is not chosen afterwards. */
function otherQuestion({ decision: { asked }, intent, action, time }: Decided): Checked<null, RuleCode> | undefined {
  const [expected, got] = [canonicalText(questionAbout(intent, { ...asked, action })), canonicalText(asked)];
  if (expected !== got)
    return refuse('POLICY_QUESTION_DIFFERS', 'the decision is about another question than the intent', { expected, got });
  const ageMs = Date.parse(time) - Date.parse(asked.time);
  return ageMs >= 0 && ageMs <= CLOCK_SKEW_MS_MAX
    ? undefined
    : refuse('POLICY_QUESTION_DIFFERS', 'the decision was made at another time than its event', {
        expected: time,
        got: asked.time,
      });
}
