import {
  type BreakGlassDecision,
  type BreakGlassResumed,
  type Digest,
  epoch,
  isPerson,
  type MigrationId,
  type TrustDomain,
  timestamp,
} from '@carnet/events';
import { breakGlassFrom, type MigrationState, migrationOf } from '@carnet/saga';
import type { Inventory } from '../inventory.ts';
import type { Ledgers } from '../ledgers.ts';
import { nextEpochWith } from '../moving.ts';
import { breakGlassCase, breakGlassReason, glassOf } from '../peers/break-glass.ts';
import { reasonOf } from '../reason.ts';
import type { IntakePorts } from './intake.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';

export interface BreakGlassPorts extends Pick<IntakePorts, 'self' | 'identify' | 'nowMs'> {
  readonly ledgers: Ledgers;
  readonly inventory: Pick<Inventory, 'vm'>;
  readonly policy: Pick<IntakePorts['policy'], 'roleOf' | 'breakingGlass'>;
}
export type BreakGlassWords = Pick<BreakGlassResumed, 'persons' | 'owner'>;

/** What people may do when no timer may. */
export interface LastResort {
  /** At the source, after the deadline of a release without an answer: two persons' and the owner's word. */
  readonly breakGlass: (
    migration: MigrationId,
    words: BreakGlassWords,
    principal: string,
  ) => Promise<ServiceResult<{ readonly digest: Digest }>>;
  /** At the target: gives up the copy that was fenced because the source took the VM back. */
  readonly discardCopy: (
    migration: MigrationId,
    principal: string,
    text: string,
  ) => Promise<ServiceResult<{ readonly digest: Digest }>>;
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/**
 * Takes a VM back whose release has no answer. Everything that may change meanwhile is judged inside the transaction that decides: the
 * deadline, whether an answer has come, and the quorum. Repeated, it answers what was decided.
 */
export async function breakGlass(
  ports: BreakGlassPorts,
  m: MigrationState,
  { persons, owner }: BreakGlassWords,
  principal: string,
): Promise<ServiceResult<{ readonly digest: Digest }>> {
  const { self, ledgers } = ports;
  if (m.source !== self) return refuse('BREAK_GLASS_NOT_OURS', `the source is ${m.source}`);
  if (!isPerson(principal)) return refuse('APPROVER_NO_PERSON', 'an API key breaks no glass: it does not say who holds it');
  const decided = m.facts.BreakGlassResumed;
  if (decided !== undefined) return { ok: true, value: { digest: decided.digest } };
  const outsider = persons.find((person) => !ports.policy.roleOf(person.principal).some(mayBreak));
  if (outsider !== undefined)
    return refuse('BREAK_GLASS_PERSON_FALSE', `${outsider.principal} is no operator of ${self} by the policy set`);
  const held = await ports.inventory.vm(m.vm);
  if (held === undefined) return refuse('VM_UNKNOWN', `${m.vm} is not held by ${self}`);
  const next = Math.max(nextEpochWith(await ledgers.journeys(m.vm), self, m.target), held.epoch + 1);
  const proposed = await ledgers.propose(m.vm, m.target, async (_tx, journey) => {
    const now = migrationOf(journey, m.id, self, 'source') ?? m;
    const [of, glass] = [breakGlassCase(now, timestamp.parse(new Date(ports.nowMs()).toISOString())), glassOf(now)];
    if (of === undefined || glass === undefined)
      return refuse('BREAK_GLASS_NOT_RELEASED', 'the key is not released: cancel the migration instead');
    const fault = await breakGlassReason(async (_domain: TrustDomain, leaf) => ports.identify(leaf), { persons, owner }, of);
    if (fault !== undefined) return refuse(fault.code, fault.text);
    const principals = persons.map(({ principal: one }) => one);
    const policy = ports.policy.breakingGlass(glass, principals);
    if (policy.some(({ allowed }) => !allowed)) return denied(policy);
    return {
      type: 'BreakGlassResumed',
      migration: m.id,
      data: { release: of.release, opens: epoch.parse(next), persons, owner, policy },
    };
  });
  if (proposed.ok) return { ok: true, value: { digest: proposed.digest } };
  const from = proposed.code === 'TOO_EARLY' ? ` (after ${breakGlassFrom(m)})` : '';
  return { ...proposed, text: `${proposed.text}${from}` };
}

/** No ledger hears of it. */
const denied = (policy: readonly BreakGlassDecision[]): ServiceRefusal => ({
  ...refuse('BREAK_GLASS_DENIED', "this CSP's policy does not let everybody who signed break this glass"),
  reasons: policy
    .filter(({ allowed }) => !allowed)
    .flatMap(({ asked, reasons }) => reasons.map(({ code, text }) => reasonOf(code, `${asked.principal}: ${text}`))),
});

const mayBreak = (role: string): boolean => role === 'operator' || role === 'administrator';
