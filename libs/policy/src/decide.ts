import {
  approverFault,
  type EventOf,
  POLICIES_NAMED_MAX,
  type PolicyDecision,
  type PolicyQuestion,
  type Reason,
  type RequestRecord,
  trustDomain,
  type VmSpec,
} from '@carnet/events';
import { accreditationOf } from './accreditation.ts';
import { alternativesTo } from './alternatives.ts';
import { canonicalText } from './canonical.ts';
import { consentTo } from './consent.ts';
import { type Answer, authorize, type Entity, type Request } from './engine.ts';
import { type Person, peopleIn } from './entities.ts';
import type { PolicySet } from './policy-set.ts';
import { type ApprovalQuestion, approvalRequestOf, type Move, requestOf, vmEntity } from './question.ts';
import { reasonOfCode, reasonsOf } from './reasons.ts';
import { restrictionsOf } from './restrictions.ts';

/** May this VM be sent, or received? Deterministic: the decision quotes all that another one needs to come to the same. */
export function decideMove(set: PolicySet, asked: PolicyQuestion, about: Move): PolicyDecision {
  const { request, own, answer } = answerTo(set, asked, about);
  const elsewhere = (): string =>
    alternativesTo(set.entities, asked, restrictionsOf(about.spec).level, (target) => {
      const sending = {
        ...asked,
        action: 'send',
        principal: about.request.principal,
        target: trustDomain.parse(target),
      } as const;
      return answerTo(set, sending, about).answer;
    });
  const what = `${asked.principal} to ${asked.action} ${asked.vm} from ${asked.source} to ${asked.target}`;
  return { ...verdictOf(set, request, own, answer), asked, reasons: reasonsOf(set, answer, what, elsewhere) };
}

/** What each decision quotes of rules, request and answer. */
export const verdictOf = (set: PolicySet, request: Request, own: readonly Entity[], answer: Answer) => ({
  ...set.ruledBy,
  allowed: answer.allowed,
  request: set.crypto.hash(canonicalText({ ...request, about: own })),
  determining: answer.determining.filter((id) => id !== '').slice(0, POLICIES_NAMED_MAX),
});

type Answered = { readonly request: Request; readonly own: readonly Entity[]; readonly answer: Answer };

/** The question as the engine gets it, with what comes with it, and the engine's answer. */
function answerTo(set: PolicySet, asked: PolicyQuestion, about: Move): Answered {
  const request = requestOf(asked, {
    secondPerson: hasSecondPerson(set, asked, about),
    consent: consentTo(set.crypto, about, asked.time),
    ...accreditationOf(set, asked, about),
  });
  const people = asked.action === 'send' ? peopleIn(set.entities, [byRecord(about.request)]) : [];
  const own = [vmEntity(asked.vm, about.spec), ...people];
  return { request, own, answer: ask(set, request, own) };
}

/** What comes with the request stands in place of what the set says under the same name. */
export function ask(set: PolicySet, request: Request, own: readonly Entity[]): Answer {
  const named = new Set(own.map(({ uid: { type, id } }) => `${type} ${id}`));
  const others = set.entities.filter(({ uid: { type, id } }) => !named.has(`${type} ${id}`));
  return authorize(set.ruledBy.policySet, request, [...others, ...own]);
}

/** The source judges its own people; of a peer's people the target only knows that they are two, by their names. */
const hasSecondPerson = (set: PolicySet, asked: PolicyQuestion, { spec, request, approvals = [] }: Move): boolean =>
  approvals.some(
    (approver) =>
      approverFault(approver.principal, request.principal) === undefined &&
      (asked.action === 'receive' ||
        decideApproval(set, { ...asked, approver: byRecord(approver), asker: request.principal }, spec).allowed),
  );

/** Who a record names, with what its credential was good for. */
export const byRecord = (record: RequestRecord): Person => ({
  principal: record.principal,
  ...(record.via === 'token' && record.roles !== undefined ? { roles: record.roles } : {}),
});

export type ApprovalVerdict = { readonly allowed: boolean; readonly reasons: readonly Reason[] };

/** May this user be the second person of that request? No set lets who asked, nor what is no person. */
export function decideApproval(set: PolicySet, asked: ApprovalQuestion, spec: VmSpec): ApprovalVerdict {
  if (approverFault(asked.approver.principal, asked.asker) === 'APPROVER_NO_PERSON')
    return { allowed: false, reasons: [reasonOfCode('APPROVER_NO_PERSON', asked.approver.principal)] };
  const answer = ask(set, approvalRequestOf(asked), [vmEntity(asked.vm, spec), ...peopleIn(set.entities, [asked.approver])]);
  return {
    allowed: answer.allowed,
    reasons: reasonsOf(set, answer, `${asked.approver.principal} to approve a move of ${asked.vm}`),
  };
}

/** What an intent in a ledger asks for, against which a quoted question is held. */
export const moveOf = ({ data, epoch }: Pick<EventOf<'MigrationIntended'>, 'data' | 'epoch'>): Move => ({ ...data, epoch });

/** The question about an intent: everything that is not a fact of the moment follows from the intent itself. */
export function questionAbout(
  intent: Move,
  facts: Pick<PolicyQuestion, 'action' | 'time' | 'open' | 'hostLevel'>,
): PolicyQuestion {
  const { vm, source, target, mode, rekey = 'none', request, approvals = [] } = intent;
  const { action, time, open, hostLevel } = facts;
  return {
    action,
    time,
    open,
    ...(hostLevel === undefined ? {} : { hostLevel }),
    principal: action === 'send' ? request.principal : source,
    vm,
    source,
    target,
    mode,
    ...(rekey === 'none' ? {} : { rekey }),
    approvers: approvals.map((one) => one.principal),
  };
}

export type Disagreement = { readonly expected: string; readonly got: string; readonly text: string };

/**
 * Puts a quoted question again: it must be about this intent, and lead to the same decision for the same reasons.
 *
 * @param set the set that the decision names, opened from files
 */
export function disagreement(set: PolicySet, intent: Move, quoted: PolicyDecision): Disagreement | undefined {
  const { asked } = quoted;
  const question = questionAbout(intent, asked);
  return (
    differing(question, asked, 'the decision is about another question than the intent') ??
    differing(decideMove(set, question, intent), quoted, DECIDES_OTHERWISE)
  );
}

export const DECIDES_OTHERWISE = 'the same policies decide otherwise';

/** Whether two say the same, in the one spelling. */
export function differing(ours: object, theirs: object, text: string): Disagreement | undefined {
  const [expected, got] = [canonicalText(ours), canonicalText(theirs)];
  return expected === got ? undefined : { text, expected, got };
}
