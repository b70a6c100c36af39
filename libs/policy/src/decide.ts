import {
  type EventOf,
  POLICIES_NAMED_MAX,
  type PolicyDecision,
  type PolicyQuestion,
  type Reason,
  type RequestRecord,
  type VmSpec,
} from '@carnet/events';
import { canonicalText } from './canonical.ts';
import { isPolicyCode, POLICY_CODES } from './codes.ts';
import { consentTo } from './consent.ts';
import { type Answer, authorize, type Entity, type Request } from './engine.ts';
import { type Person, peopleIn } from './entities.ts';
import { REASON_CHARS_MAX } from './limits.ts';
import type { PolicySet } from './policy-set.ts';
import { type ApprovalQuestion, approvalRequestOf, type Move, requestOf, vmEntity } from './question.ts';

/** May this VM be sent, or received? Deterministic: the decision quotes all that another one needs to come to the same. */
export function decideMove(set: PolicySet, asked: PolicyQuestion, about: Move): PolicyDecision {
  const vm = vmEntity(asked.vm, about.spec);
  const request = requestOf(asked, {
    secondPerson: hasSecondPerson(set, asked, about),
    consent: consentTo(set.crypto, about, asked.time),
  });
  const people = asked.action === 'send' ? peopleIn(set.entities, [personOf(about.request)]) : [];
  const answer = ask(set, request, [vm, ...people]);
  return {
    ...set.ruledBy,
    allowed: answer.allowed,
    asked,
    request: set.crypto.hash(canonicalText({ ...request, about: [vm, ...people] })),
    determining: answer.determining.filter((id) => id !== '').slice(0, POLICIES_NAMED_MAX),
    reasons: reasonsOf(set, answer, `${asked.principal} to ${asked.action} ${asked.vm} from ${asked.source} to ${asked.target}`),
  };
}

/** What comes with the request stands in place of what the set says under the same name. */
function ask(set: PolicySet, request: Request, own: readonly Entity[]): Answer {
  const named = new Set(own.map(({ uid: { type, id } }) => `${type} ${id}`));
  const others = set.entities.filter(({ uid: { type, id } }) => !named.has(`${type} ${id}`));
  return authorize(set.ruledBy.policySet, request, [...others, ...own]);
}

/** The source judges its own people; of a peer's people the target only knows that they are two. */
const hasSecondPerson = (set: PolicySet, asked: PolicyQuestion, { spec, request, approvals = [] }: Move): boolean =>
  approvals.some(
    (approver) =>
      approver.principal !== request.principal &&
      (asked.action === 'receive' ||
        decideApproval(set, { ...asked, approver: personOf(approver), asker: request.principal }, spec).allowed),
  );

/** Who a record names, with what its credential was good for. */
export const personOf = (record: RequestRecord): Person => ({
  principal: record.principal,
  ...(record.via === 'token' && record.roles !== undefined ? { roles: record.roles } : {}),
});

export type ApprovalVerdict = { readonly allowed: boolean; readonly reasons: readonly Reason[] };

/** May this user be the second person of that request? */
export function decideApproval(set: PolicySet, asked: ApprovalQuestion, spec: VmSpec): ApprovalVerdict {
  const answer = ask(set, approvalRequestOf(asked), [vmEntity(asked.vm, spec), ...peopleIn(set.entities, [asked.approver])]);
  return {
    allowed: answer.allowed,
    reasons: reasonsOf(set, answer, `${asked.approver.principal} to approve a move of ${asked.vm}`),
  };
}

/** One reason for each policy that determined the decision: its code, its sentence, its name, and what to do next. */
function reasonsOf(set: PolicySet, { allowed, determining, errors }: Answer, what: string): readonly Reason[] {
  if (errors.length > 0)
    return errors.map(({ policy, text }) => said('POLICY_ERROR', `policy ${policy}: ${text}`)).slice(0, POLICIES_NAMED_MAX);
  if (allowed) return [said('ALLOWED', `policies ${determining.join(', ')}`)];
  if (determining.length === 0) return [said('NOT_PERMITTED', `set version ${set.ruledBy.version}: ${what}`)];
  return determining.slice(0, POLICIES_NAMED_MAX).map((id) => {
    const { reason = 'POLICY_ERROR', says, advice } = set.policies.find((one) => one.id === id)?.annotations ?? {};
    const known = isPolicyCode(reason) ? POLICY_CODES[reason] : undefined;
    return { code: reason, text: printable(`${says ?? known?.text ?? ''} (policy ${id}) ${advice ?? known?.advice ?? ''}`) };
  });
}

const said = (code: keyof typeof POLICY_CODES, about: string): Reason => ({
  code,
  text: printable(`${POLICY_CODES[code].text} (${about}) ${POLICY_CODES[code].advice}`),
});

/** Names come from requests and annotations from files: neither may forge a line, and an event takes no other text. */
const printable = (text: string): string =>
  text
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, ' ')
    .trim()
    .slice(0, REASON_CHARS_MAX);

/** What an intent in a ledger asks for, against which a quoted question is held. */
export const moveOf = ({ data, epoch }: Pick<EventOf<'MigrationIntended'>, 'data' | 'epoch'>): Move => ({ ...data, epoch });

/** The question about an intent: everything that is not a fact of the moment follows from the intent itself. */
export function questionAbout(
  intent: Move,
  facts: Pick<PolicyQuestion, 'action' | 'time' | 'open' | 'hostLevel'>,
): PolicyQuestion {
  const { vm, source, target, mode, request, approvals = [] } = intent;
  const principal = facts.action === 'send' ? request.principal : source;
  return { ...facts, principal, vm, source, target, mode, approvers: approvals.map((one) => one.principal) };
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
  if (canonicalText(question) !== canonicalText(asked))
    return {
      text: 'the decision is about another question than the intent',
      expected: canonicalText(question),
      got: canonicalText(asked),
    };
  const again = decideMove(set, question, intent);
  const [expected, got] = [canonicalText(again), canonicalText(quoted)];
  return expected === got ? undefined : { text: 'the same policies decide otherwise', expected, got };
}
