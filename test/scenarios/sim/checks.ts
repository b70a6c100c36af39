import type { MigrationId, TrustDomain } from '@carnet/events';
import { isSplitSuspected, type Journey, type MigrationState, sourceEnded, targetEnded } from '@carnet/saga';
import { sha256Hex } from '@carnet/trust';
import { placedEvent } from '../../../libs/journal/src/stored-event.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import { unproven, unsoundLedger, wronged } from './convictions.ts';
import type { Csp } from './csp.ts';
import type { Custody } from './custody.ts';
import { createEachStep } from './each-step.ts';
import type { Glass } from './glass.ts';
import { leftovers } from './leftovers.ts';
import type { Liar } from './liar.ts';
import { wasInLyingHands } from './lying-hands.ts';
import { createNoticed } from './noticed.ts';
import type { Scheduler } from './scheduler.ts';
import type { Violation } from './violation.ts';

export type Checks = ReturnType<typeof createChecks>;

const UUID = VM.slice(VM.indexOf('/') + 1);
/** Rules at the moment of publishing: what an event says must be true at the host before anyone hears it. */
const MUST_STAND: Readonly<Record<string, string>> = { KeyReleased: 'surrendered', MigrationRelinquished: 'never' };

/** Facts come in the order in which they were learned: the same state all the same. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

/** Three moves in a row, each done: to another, to a third, and back. */
function roundsIn(migrations: readonly MigrationState[]): number {
  const done = migrations.filter(({ sourcePhase }) => sourcePhase === 'retired').sort((a, b) => a.epoch - b.epoch);
  return done.filter((first, i) => {
    const [second, third] = [done[i + 1], done[i + 2]];
    return (
      second?.source === first.target &&
      third?.source === second.target &&
      third.target === first.source &&
      second.target !== first.source
    );
  }).length;
}

/** A request that was sent again opened a second migration. */
function askedTwice(csps: readonly Csp[]): string | undefined {
  for (const { domain, database } of csps) {
    const [row] = database.rows(
      `select migration from events where type = 'MigrationIntended' and publisher = ? group by migration having count(*) > 1`,
      domain,
    );
    if (row !== undefined) return `${domain} has intended ${String(row['migration'])} more than once`;
  }
  return undefined;
}

/** By its own word, which it could not have given without the peer's. */
const hasResumed = ({ domain, database }: Csp, migration: MigrationId): boolean =>
  database.rows(`select 1 from events where type = 'SourceResumed' and publisher = ? and migration = ?`, domain, migration)
    .length > 0;

export function createChecks(scheduler: Scheduler, custody: Custody, liar?: Liar, glass?: Glass) {
  /** Of a dishonest CSP nothing is asked; what it owes nobody can be sure of. */
  const honest = (csps: readonly Csp[]): readonly Csp[] => csps.filter(({ domain }) => domain !== liar?.domain);
  let pending: Violation | undefined;
  let all: readonly Csp[] = [];
  const seen = new Set<string>();
  const eachStep = createEachStep(custody, liar?.domain);
  const noticed = createNoticed();
  const { fenceOf, journeyOf } = eachStep;
  const running = async ({ host }: Csp): Promise<boolean> =>
    (await host.fake.hypervisor.list()).some(({ uuid, state }) => uuid === UUID && state === 'running');

  const told = (publisher: TrustDomain, envelope: Uint8Array): void => {
    const said = placedEvent({ digest: sha256Hex(envelope), envelope }).event;
    if (said === undefined) return;
    noticed.told(said.publisher, said.audience, Number(said.seq));
    const epoch = 'epoch' in said ? said.epoch : undefined;
    const line = `${said.publisher.charAt(4)}→${said.audience.charAt(4)} ${said.seq} ${said.type}${epoch === undefined ? '' : ` @${epoch}`}`;
    // Told again (a lost stream) it is of the past: the host has gone on.
    if (seen.has(line)) return;
    seen.add(line);
    scheduler.note(line);
    const csp = all.find(({ domain }) => domain === publisher);
    const must = publisher === liar?.domain ? undefined : MUST_STAND[said.type];
    if (csp === undefined || must === undefined || epoch === undefined) return;
    const entry = fenceOf(csp);
    // An attempt that ended since, or the VM that was given back, moved the register on.
    if (entry !== undefined && (entry.epoch > epoch || entry.standing === must)) return;
    // So did one that was given back, where the bus did not take for long what was decided before, and the peer had it on the channel.
    if (said.type === 'KeyReleased' && hasResumed(csp, said.migration)) return;
    pending ??= {
      rule: 'published before the host knows',
      text: `${said.type} @${epoch} of ${publisher}: its host is ${entry?.standing ?? 'unaware'} @${entry?.epoch ?? '-'}`,
    };
  };

  /** An intent that nobody answered ends by its source alone. */
  const hasEnded = (m: MigrationState): boolean =>
    sourceEnded(m) && (targetEnded(m) || m.targetPhase === 'idle') && !isSplitSuspected(m);
  /** What it began with the liar, by its own word: it needs nobody's. */
  const hasDoneWithLiar = (csp: Csp): boolean =>
    liar === undefined ||
    journeyOf(csp, liar.domain).migrations.every((m) =>
      m.source === csp.domain ? sourceEnded(m) : m.targetPhase === 'idle' || targetEnded(m),
    );
  const isOver = ({ migrations }: Journey): boolean => migrations.every(hasEnded);
  const pairs = (csps: readonly Csp[]) => csps.flatMap((one, i) => csps.slice(i + 1).map((other) => [one, other] as const));
  const ledgerOf = ({ database }: Csp, publisher: string, audience: string): string =>
    database
      .rows('select digest from events where publisher = ? and audience = ? order by seq', publisher, audience)
      .map((row) => String(row['digest']))
      .join();

  /** Whose VM came from the liar, or was given back by it: what else the liar did with it nobody can prevent. */
  const trustedLiar = ({ database }: Csp): boolean =>
    liar !== undefined &&
    database.rows(
      `select digest from events where publisher = ? and type in ('KeyReleased', 'MigrationRelinquished')`,
      liar.domain,
    ).length > 0;
  const unwell = ({ domain, database }: Csp): string | undefined => {
    const rows = database.rows(
      'select publisher, audience, frozen from ledgers where quarantined_at is not null or frozen is not null',
    );
    const row = rows.find((one) => one['publisher'] !== liar?.domain && one['audience'] !== liar?.domain);
    return row === undefined
      ? undefined
      : `${domain}: the ledger of ${row['publisher']} to ${row['audience']} is ${row['frozen'] ?? 'quarantined'}`;
  };

  /** All that it has said, as its peers' signed heads say. */
  const isAcknowledged = ({ domain, database }: Csp): boolean =>
    !database
      .rows('select audience from ledgers where publisher = ? and covered_seq < head_seq', domain)
      .some(({ audience }) => audience !== liar?.domain);

  /** Rows that nobody changed are the same ones. */
  const proofs = new Map<Csp, readonly object[]>();
  const proofsChanged = (csps: readonly Csp[]): boolean => {
    const changed = csps.filter((csp) => {
      const rows = csp.database.rows('select peer from proofs');
      const before = proofs.get(csp);
      proofs.set(csp, rows);
      return before?.length !== rows.length || rows.some((row, i) => row !== before[i]);
    });
    return changed.length > 0;
  };

  const whereItRuns = async (everybody: readonly Csp[]): Promise<readonly Csp[]> => {
    for (const { host } of everybody) host.touched = false;
    const run: Csp[] = [];
    for (const csp of honest(everybody)) if (await running(csp)) run.push(csp);
    return run;
  };
  /** One VM and one key, and nobody convicted. */
  const twice = (csps: readonly Csp[], run: readonly Csp[]): Violation | undefined => {
    if (run.length > 1 && !run.some(trustedLiar) && glass?.mayRunTwice() !== true)
      return { rule: 'I1 never both', text: `the VM runs at ${run.map(({ domain }) => domain).join(' and ')}` };
    const stale = csps.find(({ host }) => host.fake.hypervisor.stale().length > 0);
    if (stale !== undefined)
      return { rule: 'memory knows its disks', text: `${stale.domain} resumed old memory over newer disks` };
    if (csps.some(({ restores }) => restores > 0)) return undefined;
    const convicted = proofsChanged(csps) ? wronged(csps, liar) : undefined;
    if (convicted !== undefined) return { rule: 'no honest CSP is convicted', text: convicted };
    const active = csps.filter(({ database }) => custody.isActive(database));
    if (active.length > 1 && !active.some(trustedLiar) && glass?.isSplit() !== true)
      return { rule: 'I4 one key', text: `the key is active at ${active.map(({ domain }) => domain).join(' and ')}` };
    return undefined;
  };
  /** No VM runs that its CSP's ledger does not let run. */
  const unrecorded = (csps: readonly Csp[], run: readonly Csp[]): Violation | undefined => {
    if (csps.some(({ restores }) => restores > 0)) return undefined;
    for (const csp of run) {
      const fence = fenceOf(csp);
      const authorised = all
        .filter((other) => other !== csp)
        .flatMap((other) => journeyOf(csp, other.domain).migrations)
        .filter((m) => m.target === csp.domain && m.facts.StartAuthorized !== undefined);
      const rule = 'start before its record';
      if (fence?.vcpus === 'may-run' && csps[0] !== csp && authorised.length === 0)
        return { rule, text: `${csp.domain} runs the VM, and its ledger does not say that it may` };
      if (fence?.role === 'target' && !authorised.some((m) => m.epoch === fence.epoch))
        return { rule, text: `${csp.domain} runs epoch ${fence.epoch}, and its ledger does not say that it may` };
    }
    return undefined;
  };

  let born = false;
  let early: Violation | undefined;
  let run: readonly Csp[] = [];
  return {
    told,
    folded: eachStep.folded,
    looked: eachStep.looked,
    /** Nothing hinders anybody from now on. */
    calm: (): void => noticed.calm(scheduler.elapsedMs(), scheduler.nowMs()),
    /** But for this: nobody hears anybody for so long. */
    hindered: (ms: number): void => noticed.hindered(scheduler.elapsedMs() + ms, scheduler.nowMs() + ms),
    /** The VM is there: from now on the rules hold. */
    begin: (): void => {
      born = true;
    },
    /** After every step: whether anything happened that could break a rule. */
    mayBeWrong: (csps: readonly Csp[]): boolean => {
      all = csps;
      eachStep.begin(csps);
      if (pending !== undefined || noticed.isDue(scheduler.elapsedMs()) || eachStep.mayBeWrong(honest(csps))) return true;
      return born && csps.some(({ host }) => host.touched);
    },
    look: async (everybody: readonly Csp[]): Promise<Violation | undefined> => {
      const csps = honest(everybody);
      // First, for the rules of running ask what the ledgers say by now.
      const atEachStep = eachStep.look(csps, born);
      // Who is about to be born is born first.
      early ??= born ? undefined : atEachStep;
      if (!born || pending !== undefined) return born ? pending : undefined;
      if (everybody.some(({ host }) => host.touched)) run = await whereItRuns(everybody);
      const wrong = twice(csps, run) ?? unrecorded(csps, run) ?? early ?? atEachStep;
      return wrong ?? (noticed.isDue(scheduler.elapsedMs()) ? noticed.unnoticed(csps) : undefined);
    },
    isQuiet: (everybody: readonly Csp[]): boolean => {
      const csps = honest(everybody);
      return (
        pairs(csps).every(([one, other]) => {
          for (const [from, to] of [
            [one, other],
            [other, one],
          ] as const)
            if (ledgerOf(one, from.domain, to.domain) !== ledgerOf(other, from.domain, to.domain)) return false;
          const journey = journeyOf(one, other.domain);
          return isOver(journey);
        }) &&
        csps.every((csp) => unwell(csp) === undefined && isAcknowledged(csp)) &&
        (wasInLyingHands(everybody, liar?.domain) || csps.every(hasDoneWithLiar))
      );
    },
    end: (everybody: readonly Csp[], endless: boolean): Violation | undefined => {
      const csps = honest(everybody);
      for (const [one, other] of pairs(csps)) {
        const [here, there] = [journeyOf(one, other.domain), journeyOf(other, one.domain)];
        const open = here.migrations.filter((m) => !hasEnded(m));
        if (open.length > 0)
          return {
            rule: 'every migration ends',
            text: open
              .map((m) => `${m.id.slice(-4)} ${m.source}→${m.target} @${m.epoch}: ${m.sourcePhase} × ${m.targetPhase}`)
              .join('; '),
          };
        if (canonical(here) !== canonical(there))
          return { rule: 'I3 one truth', text: `${one.domain} and ${other.domain} fold to different states` };
        for (const [from, to] of [
          [one, other],
          [other, one],
        ] as const)
          if (ledgerOf(one, from.domain, to.domain) !== ledgerOf(other, from.domain, to.domain))
            return { rule: 'I3 one truth', text: `the ledgers of ${from.domain} to ${to.domain} differ` };
      }
      for (const csp of csps) {
        const text = unwell(csp);
        if (text !== undefined) return { rule: 'I7 heals', text };
        const unsound = unsoundLedger(csp);
        if (unsound !== undefined) return { rule: 'I5 nothing deniable', text: unsound };
        if (!isAcknowledged(csp)) return { rule: 'I5 nothing deniable', text: `not all that ${csp.domain} said is acknowledged` };
      }
      const asked = askedTwice(csps);
      if (asked !== undefined) return { rule: 'one intent for each request', text: asked };
      const convicted = wronged(csps, liar);
      if (convicted !== undefined) return { rule: 'no honest CSP is convicted', text: convicted };
      const unconvicted = liar === undefined ? undefined : unproven(liar, everybody);
      if (unconvicted !== undefined) return { rule: 'who lies is convicted', text: unconvicted };
      if (endless) return { rule: 'every migration ends', text: 'too many steps' };
      return undefined;
    },
    /** Once all is quiet: somebody has the VM, and nobody else has anything of it. */
    leftovers: async (csps: readonly Csp[]): Promise<Violation | undefined> => {
      if (wasInLyingHands(csps, liar?.domain)) return undefined;
      const moves = (csp: Csp) => csps.filter((peer) => peer !== csp).flatMap((peer) => journeyOf(csp, peer.domain).migrations);
      return leftovers({ csps: honest(csps), custody, running, moves, nowMs: scheduler.nowMs() });
    },
    /** How migrations ended, and how often the VM came all the way round. */
    count: (csps: readonly Csp[]): { readonly ends: Readonly<Record<string, number>>; readonly rounds: number } => {
      const all = pairs(csps).flatMap(
        ([one, other]) => (one.domain === liar?.domain ? journeyOf(other, one.domain) : journeyOf(one, other.domain)).migrations,
      );
      const ends: Record<string, number> = {};
      for (const { sourcePhase, targetPhase } of all) {
        const end = `${sourcePhase} × ${targetPhase}`;
        ends[end] = (ends[end] ?? 0) + 1;
      }
      return { ends, rounds: roundsIn(all) };
    },
  };
}
