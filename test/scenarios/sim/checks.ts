import { createHash } from 'node:crypto';
import { type Digest, digest, type Event, event as eventSchema, isMigrationEvent, type TrustDomain } from '@carnet/events';
import { evolve, initialJourney, type Journey, type MigrationState, sourceEnded, targetEnded } from '@carnet/saga';
import { decodeEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { payloadOf } from '../../../libs/journal/src/stored-event.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import { unproven, unsoundLedger, wronged } from './convictions.ts';
import type { Csp } from './csp.ts';
import type { Custody } from './custody.ts';
import { leftovers } from './leftovers.ts';
import type { Liar } from './liar.ts';
import type { Scheduler } from './scheduler.ts';

export type Violation = { readonly rule: string; readonly text: string };
type LedgerEvent = { readonly event: Event; readonly digest: Digest };
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

export function createChecks(scheduler: Scheduler, custody: Custody, liar?: Liar) {
  /** Of a dishonest CSP nothing is asked; what it owes nobody can be sure of. */
  const honest = (csps: readonly Csp[]): readonly Csp[] => csps.filter(({ domain }) => domain !== liar?.domain);
  let pending: Violation | undefined;
  let all: readonly Csp[] = [];
  const journeys = new Map<string, { readonly key: string; readonly journey: Journey }>();
  const seen = new Set<string>();
  const events = new Map<string, LedgerEvent>();

  const fenceOf = async ({ host }: Csp) => {
    const bytes = await host.fake.files.read(host.fake.ports.paths.fence(VM));
    return bytes === undefined ? undefined : decodeEntry(bytes);
  };
  const running = async ({ host }: Csp): Promise<boolean> =>
    (await host.fake.hypervisor.list()).some(({ uuid, state }) => uuid === UUID && state === 'running');

  const told = (publisher: TrustDomain, envelope: Uint8Array): void => {
    const said = eventSchema.safeParse(payloadOf(envelope)).data;
    if (said === undefined) return;
    const epoch = 'epoch' in said ? said.epoch : undefined;
    const line = `${said.publisher.charAt(4)}→${said.audience.charAt(4)} ${said.seq} ${said.type}${epoch === undefined ? '' : ` @${epoch}`}`;
    // Told again (a lost stream) it is of the past: the host has gone on.
    if (seen.has(line)) return;
    seen.add(line);
    scheduler.note(line);
    const csp = all.find(({ domain }) => domain === publisher);
    const must = publisher === liar?.domain ? undefined : MUST_STAND[said.type];
    if (csp === undefined || must === undefined || epoch === undefined) return;
    void fenceOf(csp).then((entry) => {
      // An attempt that ended since, or the VM that was given back, moved the register on.
      if (entry !== undefined && (entry.epoch > epoch || entry.standing === must)) return;
      pending ??= {
        rule: 'published before the host knows',
        text: `${said.type} @${epoch} of ${publisher}: its host is ${entry?.standing ?? 'unaware'} @${entry?.epoch ?? '-'}`,
      };
    });
  };

  const readEvent = (named: string, envelope: unknown): LedgerEvent | undefined => {
    const known = events.get(named);
    if (known !== undefined || !(envelope instanceof Uint8Array)) return known;
    const said = eventSchema.safeParse(payloadOf(envelope)).data;
    if (said === undefined) return undefined;
    const read = { event: said, digest: digest.parse(named) };
    events.set(named, read);
    return read;
  };

  const journeyOf = ({ database, domain }: Csp, peer: TrustDomain): Journey => {
    const which = `from events where (publisher = ? or audience = ?) and migration in (select migration from events where vm is not null)
       order by placed_at, publisher, seq`;
    const named = database.rows(`select digest ${which}`, peer, peer).map((row) => row['digest']);
    const key = createHash('sha1').update(named.join()).digest('hex');
    const name = `${domain} ${peer}`;
    const known = journeys.get(name);
    if (known?.key === key) return known.journey;
    // Causal order: each after what it cites, whatever order it came in.
    const left = database.rows(`select digest, envelope ${which}`, peer, peer).flatMap((row) => {
      const said = readEvent(String(row['digest']), row['envelope']);
      return said === undefined ? [] : [said];
    });
    const digests = new Set<string>(left.map(({ digest: of }) => of));
    const placed = new Set<string>();
    let journey = initialJourney(VM);
    for (let before = -1; placed.size !== before; ) {
      before = placed.size;
      for (const each of left) {
        if (placed.has(each.digest)) continue;
        const earlier = left.some(
          (other) =>
            other.event.publisher === each.event.publisher &&
            Number(other.event.seq) < Number(each.event.seq) &&
            !placed.has(other.digest),
        );
        if (earlier || each.event.causes.some((cause) => digests.has(cause) && !placed.has(cause))) continue;
        placed.add(each.digest);
        if (isMigrationEvent(each.event)) ({ journey } = evolve(journey, { event: each.event, digest: each.digest }));
      }
    }
    journeys.set(name, { key, journey });
    return journey;
  };
  /** An intent that nobody answered ends by its source alone. */
  const hasEnded = (m: MigrationState): boolean => sourceEnded(m) && (targetEnded(m) || m.targetPhase === 'idle');
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

  let born = false;
  return {
    told,
    /** The VM is there: from now on the rules hold. */
    begin: (): void => {
      born = true;
    },
    /** After every step: whether anything happened that could break a rule. */
    mayBeWrong: (csps: readonly Csp[]): boolean => {
      all = csps;
      return born && (pending !== undefined || csps.some(({ host }) => host.touched));
    },
    look: async (everybody: readonly Csp[]): Promise<Violation | undefined> => {
      if (pending !== undefined) return pending;
      const csps = honest(everybody);
      for (const { host } of everybody) host.touched = false;
      const run: Csp[] = [];
      for (const csp of csps) if (await running(csp)) run.push(csp);
      if (run.length > 1 && !run.some(trustedLiar))
        return { rule: 'I1 never both', text: `the VM runs at ${run.map(({ domain }) => domain).join(' and ')}` };
      if (csps.some(({ restores }) => restores > 0)) return undefined;
      const convicted = proofsChanged(csps) ? wronged(csps, liar) : undefined;
      if (convicted !== undefined) return { rule: 'no honest CSP is convicted', text: convicted };
      const active = csps.filter(({ database }) => custody.isActive(database));
      if (active.length > 1 && !active.some(trustedLiar))
        return { rule: 'I4 one key', text: `the key is active at ${active.map(({ domain }) => domain).join(' and ')}` };
      for (const csp of run) {
        const mayRun = (await fenceOf(csp))?.vcpus === 'may-run';
        const authorised = everybody
          .filter((other) => other !== csp)
          .flatMap((other) => journeyOf(csp, other.domain).migrations)
          .filter((m) => m.target === csp.domain && m.facts.StartAuthorized !== undefined);
        const isHome = csps[0] === csp;
        if (mayRun && !isHome && authorised.length === 0)
          return { rule: 'start before its record', text: `${csp.domain} runs the VM, and its ledger does not say that it may` };
        const fence = await fenceOf(csp);
        if (fence?.role === 'target' && !authorised.some((m) => m.epoch === fence.epoch))
          return {
            rule: 'start before its record',
            text: `${csp.domain} runs epoch ${fence.epoch}, and its ledger does not say that it may`,
          };
      }
      return undefined;
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
        }) && csps.every((csp) => unwell(csp) === undefined)
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
        if (unsound !== undefined) return { rule: 'sound ledgers', text: unsound };
      }
      const twice = askedTwice(csps);
      if (twice !== undefined) return { rule: 'one intent for each request', text: twice };
      const convicted = wronged(csps, liar);
      if (convicted !== undefined) return { rule: 'no honest CSP is convicted', text: convicted };
      const unconvicted = liar === undefined ? undefined : unproven(liar, everybody);
      if (unconvicted !== undefined) return { rule: 'who lies is convicted', text: unconvicted };
      if (endless) return { rule: 'every migration ends', text: 'too many steps' };
      return undefined;
    },
    /** Once all is quiet: somebody has the VM, and nobody else has anything of it. */
    leftovers: async (csps: readonly Csp[]): Promise<Violation | undefined> => {
      if (liar !== undefined) return undefined;
      const moves = (csp: Csp) => csps.filter((peer) => peer !== csp).flatMap((peer) => journeyOf(csp, peer.domain).migrations);
      return leftovers({ csps, custody, running, moves, nowMs: scheduler.nowMs() });
    },
    /** How migrations ended, and how often the VM came all the way round. */
    count: (csps: readonly Csp[]): { readonly ends: Readonly<Record<string, number>>; readonly rounds: number } => {
      const all = pairs(csps).flatMap(([one, other]) => journeyOf(one, other.domain).migrations);
      const ends: Record<string, number> = {};
      for (const { sourcePhase, targetPhase } of all) {
        const end = `${sourcePhase} × ${targetPhase}`;
        ends[end] = (ends[end] ?? 0) + 1;
      }
      return { ends, rounds: roundsIn(all) };
    },
  };
}
