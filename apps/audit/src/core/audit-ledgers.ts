import { type Timestamp, timestamp } from '@carnet/events';
import { chainValidator, type TrustStore } from '@carnet/pki';
import { ended, type MigrationState, phaseOf } from '@carnet/saga';
import { originOf, positionOf } from '@carnet/trust';
import type { AuditedKeyHistory, AuditedLedger, AuditedMigration, AuditReport, Finding } from '../report.ts';
import { identifyAsOf } from './agents.ts';
import { type AuditedPair, type AuditedReplay, auditPair } from './audit-pair.ts';
import { readNotes, type ShownNote } from './checkpoints.ts';
import type { LedgerPair } from './copies.ts';
import { custodyOf, type PositionOf } from './custody.ts';
import { openEscrows } from './escrows.ts';
import { type Findings, openFindings } from './findings.ts';
import { holderBreaks, loosenings } from './holders.ts';
import { auditKeyHistory, type HistoryCopy, openWitnessed } from './key-history.ts';
import { openRules, type PolicySets } from './rules.ts';

export type AuditQuestion = {
  readonly pairs: readonly LedgerPair[];
  /** Of their own keys, by the CSPs that show them. */
  readonly histories?: readonly HistoryCopy[];
  /** Checkpoints that exports show or that the auditor kept. */
  readonly notes?: readonly ShownNote[];
  readonly trust: TrustStore;
  /** Decisions that these gave are made again. */
  readonly policies?: PolicySets;
  /** Judges whether revocation lists are fresh and nothing is dated ahead; Unix milliseconds. */
  readonly nowMs: number;
};

/** Re-derives everything from the envelopes and trusts no one but the federation's root. Reads each copy once. */
export async function auditLedgers({
  pairs,
  histories = [],
  notes = [],
  trust,
  policies,
  nowMs,
}: AuditQuestion): Promise<AuditReport> {
  const now: Timestamp = timestamp.parse(new Date(nowMs).toISOString());
  const findings = openFindings();
  const rules = {
    nowMs,
    validateChain: chainValidator(
      () => trust,
      () => now,
      'as of then',
    ),
  };
  const witnessed = openWitnessed();
  const identify = identifyAsOf(trust, now);
  const inspection = { identify, rules: openRules(policies), escrows: openEscrows(), witnessed, findings };
  const audited: AuditedPair[] = [];
  const shown = readNotes(notes);
  for (const pair of pairs) audited.push(await auditPair(pair, { ...rules, checkpoints: shown.checkpoints }, inspection));
  const migrations = audited.flatMap(({ journeys }) => journeys.all().flatMap((journey) => journey.migrations)).toSorted(byTime);
  const positionIn = positionsIn(audited);
  violateHolders(migrations, positionIn, findings);
  noticeStrangers(shown, audited, findings);
  const keyHistories: AuditedKeyHistory[] = [];
  for (const history of histories) keyHistories.push(await auditKeyHistory(history, witnessed, findings));
  const ledgers = audited.flatMap((pair) => pair.ledgers).map((replayed) => ledgerOf(replayed, findings));
  const [divergence] = findings.violations();
  return {
    carnet: 'audit-report',
    v: 1,
    asOf: now,
    verdict: divergence === undefined ? overall(ledgers) : 'diverged',
    ledgers,
    keyHistories,
    migrations: migrations.flatMap((m) => migrationOf(m, positionIn)),
    decisions: inspection.rules.counted(),
    ...(divergence === undefined ? {} : { divergence }),
    violations: findings.violations(),
    notices: findings.notices(),
    unlisted: findings.unlisted(),
  };
}

const openedAt = (m: MigrationState): string => m.facts.MigrationIntended?.time ?? '';
const byTime = (a: MigrationState, b: MigrationState): number =>
  openedAt(a) < openedAt(b) ? -1 : openedAt(a) > openedAt(b) ? 1 : a.epoch - b.epoch;

const positionsIn =
  (audited: readonly AuditedPair[]): PositionOf =>
  (ledger, digest) =>
    audited
      .flatMap((pair) => pair.ledgers)
      .find(({ replay }) => isLedger(replay.ledger, ledger))
      ?.replay.positionOf(digest);

function violateHolders(migrations: readonly MigrationState[], positionIn: PositionOf, findings: Findings): void {
  for (const [vm, moves] of Map.groupBy(migrations, (m) => m.vm)) {
    for (const { migration, refusal } of [...holderBreaks(vm, moves), ...loosenings(vm, moves)]) {
      const { ok: _, ...said } = refusal;
      const digest = migration.facts.MigrationIntended?.digest;
      const ledger = { publisher: migration.source, audience: migration.target };
      const seq = digest === undefined ? 0 : (positionIn(ledger, digest) ?? 0);
      findings.violate({ ...said, ledger, seq, migration: migration.id, ...(digest === undefined ? {} : { digest }) });
    }
  }
}

/** Notes that are none, or of no ledger that is shown: whoever brought them should know that they were not judged. */
function noticeStrangers(
  { checkpoints, unreadable }: ReturnType<typeof readNotes>,
  audited: readonly AuditedPair[],
  findings: Findings,
): void {
  const names = audited.flatMap((pair) => pair.ledgers).map(({ replay }) => replay.ledger);
  const [first] = names;
  if (first === undefined) return;
  const known = new Set(names.map(originOf));
  const strangers = checkpoints.filter(({ origin }) => !known.has(origin)).map(({ source }) => source);
  for (const source of [...unreadable, ...strangers])
    findings.notice({
      code: 'CHECKPOINT_UNVERIFIED',
      text: 'it is no checkpoint of a ledger that is shown',
      ledger: { publisher: first.publisher, audience: first.audience },
      seq: 0,
      sources: [source],
    });
}

const isLedger = (a: Finding['ledger'], b: Finding['ledger']): boolean =>
  a.publisher === b.publisher && a.audience === b.audience;

function ledgerOf({ replay, voids, citedSeq, cosigned, note }: AuditedReplay, findings: Findings): AuditedLedger {
  const { publisher, audience } = replay.ledger;
  const { head } = replay.state;
  const seq = positionOf(head?.seq);
  const copies = replay.readers.map(({ copy, count }) => ({ source: copy.source, holder: copy.holder, events: count() }));
  const held = (holder: string): number | undefined => {
    const counts = copies.filter((copy) => copy.holder === holder).map(({ events }) => Math.min(events, seq));
    return counts.length === 0 ? undefined : Math.max(...counts);
  };
  // The publisher holds what it signed; only its own, shorter copy says that it has lost it.
  // Cosigned is as good as cited: the audience's own signature says that it holds it.
  const settledSeq = Math.min(held(publisher) ?? seq, held(audience) ?? Math.max(citedSeq, cosigned?.size ?? 0));
  const isDiverged = findings.isDiverged(replay.ledger);
  const isSettled = settledSeq === seq && note === undefined;
  const why = note ?? (isSettled || isDiverged ? undefined : tailNote(settledSeq, seq));
  return {
    publisher,
    audience,
    verdict: isDiverged ? 'diverged' : isSettled ? `proven to head ${seq}` : 'unsettled tail',
    events: seq,
    head: head === null ? null : { seq, digest: head.digest },
    settledSeq,
    ...(cosigned === undefined ? {} : { cosigned: { events: cosigned.size, at: cosigned.at } }),
    copies,
    voids,
    ...(why === undefined ? {} : { note: why }),
  };
}

const tailNote = (settled: number, seq: number): string =>
  `verified to ${seq}; both CSPs are known to hold it to ${settled}. An export of the other side settles the rest`;

function overall(ledgers: readonly AuditedLedger[]): AuditReport['verdict'] {
  if (ledgers.some(({ verdict }) => verdict === 'unsettled tail')) return 'unsettled tail';
  return `proven to head ${ledgers.map(({ events }) => events).join(', ')}`;
}

function migrationOf(m: MigrationState, positionOf: PositionOf): readonly AuditedMigration[] {
  const intent = m.facts.MigrationIntended;
  if (intent === undefined) return [];
  return [
    {
      migration: m.id,
      vm: m.vm,
      epoch: m.epoch,
      mode: intent.data.mode,
      source: m.source,
      target: m.target,
      outcome: phaseOf(m),
      ended: ended(m),
      asked: { principal: intent.data.request.principal, via: intent.data.request.via },
      custody: custodyOf(m, positionOf),
    },
  ];
}
