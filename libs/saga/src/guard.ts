import { type Digest, unreachable } from '@carnet/events';
import { check } from './checks.ts';
import type { VoidCode } from './codes.ts';
import { checkIntent, highestSpoken, sidesEnded, spokenIn } from './intent.ts';
import type { Fact, Facts, FactType, Journey, MigrationState } from './journey.ts';
import { referencesOf, STEPS, type Stated, type StatedOf, targetPhaseAfter } from './steps.ts';

/** The migration as it is after the event, or why the event is void. */
export type Judgement =
  | { readonly ok: true; readonly migration: MigrationState }
  | { readonly ok: false; readonly code: VoidCode };

const isVoid = (code: VoidCode): Judgement => ({ ok: false, code });

/**
 * Judges one event. It reads the publisher's own side and what the publisher has cited, never what has merely arrived of the
 * peer's: whatever order two ledgers come in, as long as causes come before effects, the verdict is the same.
 */
export function judge(journey: Journey, e: Stated, digest: Digest): Judgement {
  if (e.type === 'MigrationIntended') {
    const code = checkIntent(journey, e);
    return code === undefined ? { ok: true, migration: open(e, digest) } : isVoid(code);
  }
  const m = find(journey, e);
  if (typeof m === 'string') return isVoid(m);
  const code = checkPlace(m, e) ?? checkStep(m, e) ?? checkReferences(m, e) ?? checkAnswer(journey, m, e) ?? check(m, e);
  return code === undefined ? { ok: true, migration: advance(m, e, digest) } : isVoid(code);
}

function open(e: StatedOf<'MigrationIntended'>, digest: Digest): MigrationState {
  const { vm, source, target } = e.data;
  const facts: Facts = { MigrationIntended: { digest, time: e.time, causes: e.causes, data: e.data } };
  return { id: e.migration, vm, epoch: e.epoch, source, target, sourcePhase: 'intended', targetPhase: 'idle', facts };
}

/**
 * The migration in which the publisher has the side that may say this. Until a target has answered, the intent may not have
 * arrived here: so its answer is found by the intent that it cites, and everything else it says is out of phase.
 */
function find(journey: Journey, e: Stated): MigrationState | VoidCode {
  const { side } = STEPS[e.type];
  const m = journey.migrations.find((m) => m.id === e.migration && m[side] === e.publisher);
  if (side === 'source') return m ?? (spoken(journey, e) ? 'WRONG_PUBLISHER' : 'MIGRATION_UNKNOWN');
  if (spoken(journey, e)?.source === e.publisher) return 'WRONG_PUBLISHER';
  if (e.type === 'MigrationOffered' || e.type === 'MigrationRefused') {
    if (!e.causes.includes(e.data.intent)) return 'CITATION_MISSING';
    return m ?? 'CITATION_MISMATCH';
  }
  return m === undefined || m.targetPhase === 'idle' ? 'WRONG_PHASE' : m;
}

const spoken = (journey: Journey, e: Stated): MigrationState | undefined =>
  spokenIn(journey, e.publisher).find((m) => m.id === e.migration);

function checkPlace(m: MigrationState, e: Stated): VoidCode | undefined {
  if (e.audience !== (STEPS[e.type].side === 'source' ? m.target : m.source)) return 'WRONG_PUBLISHER';
  return e.epoch === m.epoch ? undefined : 'EPOCH_MISMATCH';
}

function checkStep(m: MigrationState, e: Stated): VoidCode | undefined {
  const step = STEPS[e.type];
  if (step.side === 'source' ? within(step.from, m.sourcePhase) : within(step.from, m.targetPhase)) return undefined;
  if (e.type === 'KeyDeposited' && m.facts.KeyDeposited) return 'SECOND_DEPOSIT';
  if (e.type === 'MigrationWithdrawn' && (m.sourcePhase === 'released' || m.sourcePhase === 'retired')) return 'ALREADY_RELEASED';
  if (e.type === 'MigrationRelinquished' && m.facts.VmStarted) return 'ALREADY_STARTED';
  return 'WRONG_PHASE';
}

const within = <P>(from: readonly P[], phase: P): boolean => from.includes(phase);

/** Every event that the data names is the one valid event of its type; the peer's are cited, too. */
function checkReferences(m: MigrationState, e: Stated): VoidCode | undefined {
  for (const { type, digest } of referencesOf(e)) {
    // Causes first: what is not cited may or may not have arrived, and must not be looked at.
    if (STEPS[type].side !== STEPS[e.type].side && !e.causes.includes(digest)) return 'CITATION_MISSING';
    if (m.facts[type]?.digest !== digest) return 'CITATION_MISMATCH';
  }
  return undefined;
}

/** A target takes up a VM only when it is through with everything before, and never with an old epoch. */
function checkAnswer(journey: Journey, m: MigrationState, e: Stated): VoidCode | undefined {
  if (e.type !== 'MigrationOffered') return undefined;
  const before = spokenIn(journey, e.publisher);
  if (m.epoch <= highestSpoken(before, e.publisher)) return 'EPOCH_REUSED';
  return sidesEnded(before, e.publisher) ? undefined : 'ALREADY_MOVING';
}

function advance(m: MigrationState, e: Stated, digest: Digest): MigrationState {
  const step = STEPS[e.type];
  const facts = withFact(m.facts, e, digest);
  switch (step.side) {
    case 'source':
      return { ...m, sourcePhase: step.to, facts };
    case 'target':
      return { ...m, targetPhase: targetPhaseAfter(m.targetPhase, step), facts };
    default:
      return unreachable(step);
  }
}

const withFact = <T extends FactType>(
  facts: Facts,
  e: { readonly type: T } & Omit<Fact<T>, 'digest'>,
  digest: Digest,
): Facts => ({
  ...facts,
  [e.type]: { digest, time: e.time, causes: e.causes, data: e.data },
});
