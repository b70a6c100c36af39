import type { BreakGlassDecision, BreakGlassQuestion, EventData, Timestamp } from '@carnet/events';
import { ask, DECIDES_OTHERWISE, type Disagreement, differing, verdictOf } from './decide.ts';
import { actionsOf, actionsUnder } from './engine.ts';
import { peopleIn } from './entities.ts';
import { FILE, type PolicySet } from './policy-set.ts';
import { breakGlassRequestOf, vmEntity } from './question.ts';
import { reasonsOf } from './reasons.ts';
import { SCHEMA } from './schema.ts';

/** The move whose glass is broken, as its source's ledger has it: the intent, and when its key was released. */
export type Glass = Pick<EventData<'MigrationIntended'>, 'vm' | 'source' | 'target' | 'mode' | 'spec'> & {
  readonly released: Timestamp;
};

/** One question for each who signed, in that order: whom policy does not let break it is no part of a quorum. `time`: when it is asked. */
export const questionsAbout = (
  { vm, source, target, mode, released }: Glass,
  persons: readonly string[],
  time: Timestamp,
): readonly BreakGlassQuestion[] =>
  persons.map((principal) => ({ action: 'break-glass', principal, vm, source, target, mode, time, released, persons }));

/** May this person break this glass? The quorum is judged beside it (`breakGlassFault`): policy can only ask for more. */
export function decideBreakGlass(set: PolicySet, asked: BreakGlassQuestion, { spec }: Pick<Glass, 'spec'>): BreakGlassDecision {
  const request = breakGlassRequestOf(asked);
  const own = [vmEntity(asked.vm, spec), ...peopleIn(set.entities, [{ principal: asked.principal }])];
  const answer = ask(set, request, own);
  const what = `${asked.principal} to take ${asked.vm} back from ${asked.target}`;
  return { ...verdictOf(set, request, own, answer), asked, reasons: reasonsOf(set, answer, what) };
}

/** Puts the questions of a broken glass again, as `disagreement` does with that of an intent. */
export function breakGlassDisagreement(
  set: PolicySet,
  glass: Glass,
  expected: BreakGlassQuestion,
  quoted: BreakGlassDecision,
): Disagreement | undefined {
  return (
    differing(expected, quoted.asked, 'the decision is about another question than the broken glass') ??
    differing(decideBreakGlass(set, expected, glass), quoted, DECIDES_OTHERWISE)
  );
}

const schemaOf = ({ files }: PolicySet): string => files.get(FILE.schema) ?? SCHEMA;

/** Whether who decides by this set asks it about a broken glass: sets of versions before this action could not be asked. */
export const asksAboutBreakGlass = (set: PolicySet): boolean => actionsOf(schemaOf(set)).includes('break-glass');

/** Whether no policy of the set permits anybody to break a glass: worth to be known before the day when it is needed. */
export const permitsNoBreakGlass = (set: PolicySet): boolean =>
  !set.policies.some((policy) => policy.effect === 'permit' && actionsUnder(policy, schemaOf(set)).includes('break-glass'));
