import {
  type BreakGlassResumed,
  type BreakGlassStatement,
  type Event,
  event as eventSchema,
  type MigrationId,
  type TrustDomain,
  timestamp,
} from '@carnet/events';
import { migrationOf } from '@carnet/saga';
import { breakGlass } from '../../../apps/broker/src/service/break-glass.ts';
import { payloadOf } from '../../../libs/journal/src/stored-event.ts';
import { VM } from '../../../libs/saga/src/testing.ts';
import type { SimBus } from './bus.ts';
import type { Csp } from './csp.ts';
import { nameOf, ownersWord, personsWord } from './people.ts';
import type { Random } from './random.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';
import type { Violation } from './violation.ts';

/** In one history of eleven the VM has an owner, the first release gets no answer, and people may break the glass. */
export const mayBreakGlass = (seed: number): boolean => seed % 11 === 4;
/** Migrations have less time there, so that it is soon over. */
export const GLASS_DEADLINE_MS = 15_000;

/** Nobody waits for longer than this. */
const DOUBT_MS_MAX = 80_000;
/** What the guard adds to the deadline, and what a broker's clock may be ahead. */
const [GRACE_MS, AHEAD_MS] = [30_000, 30_000];
/** Whoever took a host off its power waits until what was on its way to it is over. */
const ON_ITS_WAY_MS = 30_000;
const LOOK_MS = 1_000;
/** By then it is decided whether the glass is broken. */
const DECIDED_MS = 2_000;
/** The answers after which nobody asks again: the target lives. */
const NO_DOUBT: ReadonlySet<string> = new Set(['PEER_ANSWERED', 'WRONG_PHASE', 'VM_UNKNOWN']);

type Words = Pick<BreakGlassResumed, 'persons' | 'owner'>;
type Released = Extract<Event, { readonly type: 'KeyReleased' }>;
type Doubt = { readonly migration: MigrationId; readonly source: Csp; readonly target: Csp; readonly fromMs: number };

/** How the target is cut off from the release on, and whether what people say of its host is true. */
export type GlassScene = { readonly silence: 'both' | 'out'; readonly isTrue: boolean };

export type Glass = ReturnType<typeof createGlass>;

const hasEvent = ({ database }: Csp, migration: MigrationId, types: readonly string[]): boolean =>
  database.rows(`select type from events where migration = ?`, migration).some(({ type }) => types.includes(String(type)));

/** What three people say; only the first kind is a quorum. */
const KINDS = ['good', 'good', 'good', 'one person', 'forged', 'stranger'] as const;

function wordsOf(kind: (typeof KINDS)[number], source: TrustDomain, said: Omit<BreakGlassStatement, 'says'>): Words {
  const [anna, bob] = [nameOf(source, 'anna'), nameOf(source, 'bob')];
  const second = kind === 'one person' ? anna : bob;
  return {
    persons: [personsWord(anna, said), personsWord(second, said, kind === 'forged' ? anna : second)],
    owner: ownersWord(said, kind === 'stranger' ? 'stranger' : 'owner'),
  };
}

/**
 * A release whose answer does not come: somebody is cut off for long, and people of the source try to break the glass, too early, with false words,
 * and at last as they may. Those who say the truth have taken the target's host off its power before, and plug it in once its broker knows.
 */
export function createGlass(ports: {
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** Not drawn, in a script. */
  readonly scene: GlassScene | undefined;
  readonly bus: SimBus;
  readonly csps: () => readonly Csp[];
  readonly spoil: (ports: Replica['intake']) => Replica['intake'];
}) {
  const { scheduler, random, bus } = ports;
  const isTrue = ports.scene?.isTrue ?? random.chance(0.7);
  const good = new Set<string>();
  const deadlines = new Map<MigrationId, number>();
  let doubt: Doubt | undefined;
  let wrong: Violation | undefined;
  let [isOver, overMs] = [true, 0];
  let isCalm = false;
  const cspOf = (domain: TrustDomain): Csp | undefined => ports.csps().find((csp) => csp.domain === domain);
  const fails = (text: string): void => {
    wrong ??= { rule: 'no glass is broken without right', text };
  };
  const end = (): void => {
    if (!isOver) [isOver, overMs] = [true, scheduler.elapsedMs()];
  };

  /** By its source's word, though its database may come back without it. */
  let broken = false;
  const isBroken = (): boolean => {
    broken ||= doubt !== undefined && hasEvent(doubt.source, doubt.migration, ['BreakGlassResumed']);
    return broken;
  };
  const isOpenUntil = (...types: readonly string[]): boolean =>
    doubt !== undefined && isBroken() && !hasEvent(doubt.target, doubt.migration, ['MigrationRelinquished', ...types]);

  const cut = ({ source, target }: Doubt): void => {
    const { scene } = ports;
    const [csp, way] =
      scene === undefined
        ? random.pick([
            [target, 'both'],
            [target, 'in'],
            [target, 'out'],
            [source, 'in'],
          ] as const)
        : ([target, scene.silence] as const);
    scheduler.note(`${csp.domain} is cut off for long: ${way}`);
    bus.cutOff(csp.domain, way, DOUBT_MS_MAX);
  };
  const attempt = async ({ migration, source, target }: Doubt): Promise<void> => {
    const n = source.lives.findIndex(({ dead }) => !dead);
    const replica = source.replicas[n];
    if (replica === undefined) return;
    const m = await scheduler.within(replica.life, async () =>
      migrationOf(await replica.context.ledgers.journey(VM, target.domain), migration, source.domain, 'source'),
    );
    const release = m?.facts.KeyReleased?.digest;
    if (m === undefined || release === undefined) return;
    if (isTrue && !target.host.unplugged) unplug(target);
    const [at, notAfter] = [0, 3_600_000].map((ms) => timestamp.parse(new Date(scheduler.nowMs() + ms).toISOString()));
    if (at === undefined || notAfter === undefined) return;
    const said = {
      migration,
      vm: VM,
      epoch: m.epoch,
      release,
      target: target.domain,
      reason: 'it answers nothing',
      at,
      notAfter,
    };
    const kind = random.pick(KINDS);
    const words = wordsOf(kind, source.domain, said);
    if (kind === 'good') good.add(JSON.stringify(words));
    scheduler.note(
      `${source.domain} is to break the glass of ${migration.slice(-4)}: ${kind} words, ${isTrue ? 'true' : 'not true'}`,
    );
    const result = await scheduler.within(replica.life, () =>
      breakGlass(ports.spoil(replica.intake), m, words, nameOf(source.domain, 'anna')),
    );
    scheduler.note(`${source.domain} breaks the glass: ${result.ok ? 'yes' : result.code}`);
    if (!result.ok && NO_DOUBT.has(result.code)) end();
    if (result.ok && !isOver) scheduler.at(scheduler.elapsedMs() + random.below(20_000), end);
  };
  const keepTrying = (of: Doubt): void => {
    if (isOver) return;
    if (scheduler.elapsedMs() > of.fromMs + DOUBT_MS_MAX) {
      end();
      return;
    }
    if (!isBroken()) attempt(of).catch((cause: unknown) => scheduler.note(`breaking the glass: ${String(cause)}`));
    scheduler.at(scheduler.elapsedMs() + 2_000 + random.below(5_000), () => keepTrying(of));
  };

  const unplug = (target: Csp): void => {
    scheduler.note(`the host of ${target.domain} is taken off its power`);
    target.host.unplug();
    keepLooking(target, Number.POSITIVE_INFINITY);
  };
  /** Until nobody can break the glass any more, or the broker there knows that it is broken. */
  const keepLooking = (target: Csp, knownMs: number): void => {
    const now = scheduler.elapsedMs();
    const knows = doubt !== undefined && hasEvent(target, doubt.migration, ['BreakGlassResumed']);
    const sinceMs = knows ? Math.min(knownMs, now) : Number.POSITIVE_INFINITY;
    const isOurs = isOver && !isBroken() && now > overMs + DECIDED_MS;
    if (isOurs || (isOver && now > Math.max(sinceMs + ON_ITS_WAY_MS, target.host.lastCommandMs))) {
      scheduler.note(`the host of ${target.domain} is plugged in`);
      target.host.plugIn();
    } else scheduler.at(now + LOOK_MS, () => keepLooking(target, sinceMs));
  };

  const released = ({ migration, publisher, audience }: Released): void => {
    const [source, target] = [cspOf(publisher), cspOf(audience)];
    if (isCalm || doubt !== undefined || source === undefined || target === undefined) return;
    const begun = { migration, source, target, fromMs: scheduler.elapsedMs() };
    [doubt, isOver] = [begun, false];
    scheduler.at(scheduler.elapsedMs() + random.pick([0, 0, 0, 20, 100]), () => cut(begun));
    scheduler.at(scheduler.elapsedMs() + 5_000 + random.below(40_000), () => keepTrying(begun));
  };
  return {
    told: (envelope: Uint8Array): void => {
      const said = eventSchema.safeParse(payloadOf(envelope)).data;
      if (said?.type === 'MigrationIntended') deadlines.set(said.migration, Date.parse(said.data.deadline));
      if (said?.type === 'KeyReleased') released(said);
      if (said?.type !== 'BreakGlassResumed') return;
      const { persons, owner } = said.data;
      if (!good.has(JSON.stringify({ persons, owner }))) fails('it is broken by words that are no quorum');
      if (scheduler.nowMs() < (deadlines.get(said.migration) ?? 0) + GRACE_MS - AHEAD_MS)
        fails('it is broken before the deadline');
    },
    /** What is released from now on gets its answer. */
    calm: (): void => {
      isCalm = true;
    },
    /** Nobody is about to break it, or has just broken it. */
    isOver: (): boolean => isOver,
    /** The target has the VM, or its copy, too. */
    isSplit: (): boolean => isOpenUntil('CopyDiscarded'),
    /** People said what was not true: both may run it, until the target stops. */
    mayRunTwice: (): boolean => !isTrue && isOpenUntil('CopyFenced'),
    fails,
    /** Asked after every step. */
    wrong: (): Violation | undefined => {
      isBroken();
      return wrong;
    },
  };
}
