import {
  type BreakGlassDecision,
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
  asksAboutBreakGlass,
  breakGlassDisagreement,
  canonicalText,
  type Disagreement,
  disagreement,
  downgradeOf,
  ENGINE,
  type Glass,
  highestAnnounced,
  type Move,
  type PolicySet,
  questionAbout,
  questionsAbout,
  SCHEMA,
} from '@carnet/policy';
import { accept, type Checked, refuse, sha256Hex } from '@carnet/trust';
import type { AuditedDecisions, LedgerName } from '../report.ts';

/** Policy sets that the auditor brought along, by digest. */
export type PolicySets = ReadonlyMap<Digest, PolicySet>;

type RuleCode =
  | 'POLICY_DENIED'
  | 'POLICY_DOWNGRADED'
  | 'POLICY_NOT_ANNOUNCED'
  | 'POLICY_NOT_QUOTED'
  | 'POLICY_QUESTION_DIFFERS'
  | 'POLICY_DISAGREES';
export type Decided = {
  readonly at: LedgerName;
  /** Of the event. */
  readonly time: Timestamp;
  readonly decision: PolicyDecision | BreakGlassDecision;
  /** What its event puts, whatever the decision quotes. */
  readonly question: object;
  /** How the set that it names decides otherwise. */
  readonly again: (set: PolicySet) => Disagreement | undefined;
};
type Placed = Pick<Decided, 'at' | 'time'>;

/** A decision on an intent, by either side. */
export const onIntent = (
  placed: Placed,
  decision: PolicyDecision,
  intent: Move,
  action: PolicyDecision['asked']['action'],
): Decided => ({
  ...placed,
  decision,
  question: questionAbout(intent, { ...decision.asked, action }),
  again: (set) => disagreement(set, intent, decision),
});

/** The decisions on a broken glass: about each who signed, in that order; one too many is about nothing that was asked. */
export const onGlass = (
  placed: Placed,
  decisions: readonly BreakGlassDecision[],
  glass: Glass,
  persons: readonly string[],
): readonly Decided[] =>
  decisions.map((decision, index) => {
    const question = questionsAbout(glass, persons, decision.asked.time)[index];
    return {
      ...placed,
      decision,
      question: question ?? {},
      again: (set) => question && breakGlassDisagreement(set, glass, question, decision),
    };
  });

/** Which rules each ledger announced, and whether every decision follows from them. Remembers what was announced last, and the highest. */
export type Rules = {
  readonly announce: (event: EventOf<'PolicyAnnounced'>) => Checked<null, RuleCode>;
  readonly judge: (decided: Decided) => Checked<null, RuleCode>;
  /** A broken glass that quotes no decision: older versions did not ask, and a newer one has something to hide. */
  readonly unquoted: (at: LedgerName) => Checked<null, RuleCode>;
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
      const differing = decided.again(set);
      if (differing !== undefined) return refuse('POLICY_DISAGREES', differing.text, differing);
      count.replayed++;
      return accept(null);
    },
    unquoted: (at) => {
      const said = announced.get(nameOf(at));
      const set = said && sets.get(said.policySet);
      const isAsked = set === undefined ? said?.schema === OWN_SCHEMA : asksAboutBreakGlass(set);
      return isAsked
        ? refuse('POLICY_NOT_QUOTED', 'the glass was broken without a decision of the policy set that its ledger announced')
        : accept(null);
    },
    counted: () => [...counts].map(([csp, count]) => ({ csp, ...count })),
  };
}

/** Of this version, which asks. What other schemas let be asked is known from the files alone. */
const OWN_SCHEMA = sha256Hex(Buffer.from(SCHEMA));

function notAnnounced(
  { policySet, version, schema, entities, engine }: Decided['decision'],
  said: PolicyAnnounced | undefined,
): Checked<null, RuleCode> | undefined {
  const got = canonicalText({ policySet, version, schema, entities, engine });
  const { revocations: _, ...ruledBy } = said ?? {};
  const expected = said === undefined ? 'an announcement' : canonicalText(ruledBy);
  return got === expected
    ? undefined
    : refuse('POLICY_NOT_ANNOUNCED', 'the decision quotes another policy set than its ledger announced last', { expected, got });
}

/** The question must be the one that the event puts, at the time of its event: a window is not chosen afterwards. */
function otherQuestion({ decision: { asked }, question, time }: Decided): Checked<null, RuleCode> | undefined {
  const [expected, got] = [canonicalText(question), canonicalText(asked)];
  if (expected !== got)
    return refuse('POLICY_QUESTION_DIFFERS', 'the decision is about another question than its event', { expected, got });
  const ageMs = Date.parse(time) - Date.parse(asked.time);
  return ageMs >= 0 && ageMs <= CLOCK_SKEW_MS_MAX
    ? undefined
    : refuse('POLICY_QUESTION_DIFFERS', 'the decision was made at another time than its event', {
        expected: time,
        got: asked.time,
      });
}
