import type { Digest } from '@carnet/events';
import { type Fact, type Facts, type Journey, type MigrationState, react } from '@carnet/saga';
import { digestOf, EVIDENCE, RECEIPT, START } from '../../libs/saga/src/testing.ts';
import { execute, type HostCommand } from './host.ts';
import { RULES } from './moves.ts';
import type { Rules } from './world.ts';

/** A rule left out or turned round, as an implementer in a hurry would. */
export type Mutant = { readonly name: string; readonly epochs: 1 | 2; readonly rules: Rules };

const mapMigrations = (journey: Journey, change: (m: MigrationState) => Facts): Journey => ({
  ...journey,
  migrations: journey.migrations.map((m) => ({ ...m, facts: change(m) })),
});

const UNSAID: Fact<'MigrationRelinquished'> = {
  digest: digestOf('e'),
  time: START,
  causes: [],
  data: { intent: digestOf('e'), reason: { code: 'NONE', text: '' }, receipt: RECEIPT, never: EVIDENCE },
};

/** As if the target had given the VM back, once its promise has run out. */
const timerSpeaks = (journey: Journey, now: string): Journey =>
  mapMigrations(journey, (m) => {
    const ready = m.facts.TargetReady;
    const out = m.sourcePhase === 'released' && ready !== undefined && now > ready.data.until;
    return out ? { ...m.facts, MigrationRelinquished: UNSAID } : m.facts;
  });

/** The last release of the VM, whatever its epoch. */
const lastRelease = (journey: Journey): Journey => {
  const older = journey.migrations.find((m) => m.facts.KeyReleased)?.facts.KeyReleased;
  return mapMigrations(journey, (m) => (older && !m.facts.KeyReleased ? { ...m.facts, KeyReleased: older } : m.facts));
};

/** A release found by its digest alone. */
const citedRelease = (journey: Journey, digest: Digest): Journey => {
  const cited = journey.migrations.find((m) => m.facts.KeyReleased?.digest === digest)?.facts.KeyReleased;
  return mapMigrations(journey, (m) => (cited ? { ...m.facts, KeyReleased: cited } : m.facts));
};

const anyResume = (host: Parameters<typeof execute>[0], command: HostCommand): ReturnType<typeof execute> =>
  command.type === 'resume' ? { ...host, runs: true } : execute(host, command);

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'rollback on a timer',
    epochs: 1,
    rules: { ...RULES, react: (journey, self, now) => react(timerSpeaks(journey, now), self, now) },
  },
  {
    name: 'release of an older epoch',
    epochs: 2,
    rules: {
      ...RULES,
      react: (journey, self, now) => react(lastRelease(journey), self, now),
      decide: (journey, self, proposal, now) => RULES.decide(lastRelease(journey), self, proposal, now),
      evolve: (journey, placed) => {
        const { event } = placed;
        return RULES.evolve(event.type === 'KeyImported' ? citedRelease(journey, event.data.release) : journey, placed);
      },
    },
  },
  {
    name: 'start recorded after starting',
    epochs: 1,
    rules: {
      ...RULES,
      startsEarly: true,
      // What no authorisation announced, the register does not know either.
      execute: (host, command) =>
        command.type === 'start' && command.epoch > host.epoch && !host.runs ? { ...host, runs: true } : execute(host, command),
    },
  },
  { name: 'resume on a stale command', epochs: 2, rules: { ...RULES, execute: anyResume } },
  {
    name: 'relinquish published before the host knows',
    epochs: 1,
    rules: {
      ...RULES,
      hasForsworn: () => true,
      mayPublish: (broker, event) => event.type === 'MigrationRelinquished' || RULES.mayPublish(broker, event),
    },
  },
  {
    name: 'release published before the host surrendered',
    epochs: 1,
    rules: { ...RULES, mayPublish: (broker, event) => event.type === 'KeyReleased' || RULES.mayPublish(broker, event) },
  },
];
