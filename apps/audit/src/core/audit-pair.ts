import { CLOCK_SKEW_MS_MAX } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import type { Finding } from '../report.ts';
import { type Agreements, openAgreements } from './agreements.ts';
import { type Cosigned, judgeCheckpoints, marksOf, type ShownCheckpoint } from './checkpoints.ts';
import type { LedgerCopies, LedgerPair } from './copies.ts';
import { type Inspection, inspect } from './inspect.ts';
import { type Folded, type Journeys, openJourneys } from './journeys.ts';
import { LedgerReplay, type PlacedEvent, type ReplayRules } from './replay.ts';

/** A pair of ledgers, replayed and folded. */
export type AuditedPair = {
  readonly ledgers: readonly AuditedReplay[];
  readonly journeys: Journeys;
};

export type AuditedReplay = {
  readonly replay: LedgerReplay;
  readonly voids: number;
  /** Highest own position that the audience's ledger cites: the audience holds it, by its own signature. */
  readonly citedSeq: number;
  /** How far the audience cosigned what was replayed, and when. */
  readonly cosigned?: Cosigned;
  /** Why the end was not judged, though nothing is wrong with it. */
  readonly note?: string;
};

type PairRules = ReplayRules & { readonly checkpoints: readonly ShownCheckpoint[] };

type Tally = { voids: number; citedSeq: number };

/**
 * Merges the two ledgers so that causes come before effects, each read once from end to end. There is always one that can go on:
 * each digest covers everything before it, so two ledgers that wait for each other cannot be made.
 */
export async function auditPair([first, second]: LedgerPair, rules: PairRules, inspection: Inspection): Promise<AuditedPair> {
  const replayOf = (ledger: LedgerCopies) => new LedgerReplay(ledger, rules, marksOf(ledger, rules.checkpoints));
  const replays = [replayOf(first), replayOf(second)] as const;
  const tallies: readonly [Tally, Tally] = [
    { voids: 0, citedSeq: 0 },
    { voids: 0, citedSeq: 0 },
  ];
  const journeys = openJourneys();
  const agreements = openAgreements();
  const run = async (own: 0 | 1, peer: 0 | 1): Promise<number> => {
    for (let placedCount = 0; ; placedCount++) {
      const step = await replays[own].advance(replays[peer]);
      if (step.kind !== 'placed') return placedCount;
      const folded = journeys.fold(step);
      inspect(inspection, replays[own], step, folded);
      for (const cause of step.payload.causes)
        tallies[peer].citedSeq = Math.max(tallies[peer].citedSeq, replays[peer].positionOf(cause) ?? 0);
      noteAgreements(agreements, { ledger: replays[own].ledger, step, folded, seen: tallies[peer].citedSeq });
      if (step.voidCode !== undefined || (folded !== undefined && 'voidCode' in folded.outcome)) tallies[own].voids++;
    }
  };
  while ((await run(0, 1)) + (await run(1, 0)) > 0);
  agreements.judge(inspection.findings);
  // Which came first is a matter of reading: of two divergences the first ledger's is named first.
  const audited = ([0, 1] as const).map((own) =>
    conclude(replays[own], replays[own === 0 ? 1 : 0], tallies[own], inspection, rules),
  );
  return { ledgers: audited, journeys };
}

type Noted = {
  readonly ledger: LedgerCopies;
  readonly step: PlacedEvent;
  readonly folded: Folded | undefined;
  /** How far the publisher has cited the other ledger. */
  readonly seen: number;
};

function noteAgreements(agreements: Agreements, { ledger: { publisher, audience }, step, folded, seen }: Noted): void {
  const { digest, payload } = step;
  agreements.note(step);
  if (folded === undefined || !('migration' in folded.outcome)) return;
  const standing = { ledger: { publisher, audience }, seq: positionOf(payload.seq), digest, seen };
  const { type } = folded.event;
  if (type === 'MigrationIntended' || type === 'MigrationOffered')
    agreements.began({ ...standing, m: folded.outcome.migration, at: folded.event });
}

function conclude(
  replay: LedgerReplay,
  other: LedgerReplay,
  tally: Tally,
  { findings }: Inspection,
  { checkpoints, nowMs }: PairRules,
): AuditedReplay {
  const note = noteOf(replay, other, nowMs);
  const divergence: Finding | undefined = replay.divergence ?? (note === undefined ? replay.endBlocked() : undefined);
  if (divergence !== undefined) findings.violate(divergence);
  const cosigned = judgeCheckpoints(replay, other, checkpoints, findings);
  return { replay, ...tally, ...(note === undefined ? {} : { note }), ...(cosigned === undefined ? {} : { cosigned }) };
}

/**
 * A ledger that waits for an event which no copy shows. Its publisher lies or was restored, unless the cited ledger diverged
 * earlier, or the export ran while the cited event was being written: exports hold their own ledger as it was a moment before the peer's.
 */
function noteOf(replay: LedgerReplay, other: LedgerReplay, nowMs: number): string | undefined {
  const time = replay.parkedTime();
  if (time === undefined) return undefined;
  if (other.divergence !== undefined) return 'not judged further: what follows relies on the other ledger beyond its divergence';
  const exportedMs = other.readers.map(({ copy }) => Date.parse(copy.exportedAt));
  const timeMs = Date.parse(time);
  // The newest copy of the cited ledger holds all that was written before it was made.
  if (exportedMs.length === 0 || timeMs + CLOCK_SKEW_MS_MAX < Math.max(...exportedMs)) return undefined;
  // Threat: a liar dates the event years ahead, and every export is older. The auditor's own clock says that nobody made it yet.
  if (timeMs > nowMs + CLOCK_SKEW_MS_MAX) return undefined;
  return 'TAIL_IN_FLIGHT: the next event cites what was written while the export ran';
}
