import { type Digest, type Epoch, epoch, event as eventSchema, type MigrationEvent, type TrustDomain } from '@carnet/events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextDeadline } from './deadlines.ts';
import type { Proposal } from './decide.ts';
import { decide } from './decide.ts';
import { evolve, type Placed } from './evolve.ts';
import { highestEpoch, initialJourney, type Journey } from './journey.ts';
import { react } from './react.ts';
import { summarize } from './summarize.ts';
import {
  append,
  breakGlassData,
  CSP_A,
  CSP_B,
  CSP_C,
  EVIDENCE,
  intentData,
  migration,
  type Party,
  party,
  performed,
  propose,
  RECEIPT,
  receive,
  SAMPLE_DEADLINE_MS,
  START,
  VM,
} from './testing.ts';
import { shift } from './time.ts';

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
};

/** One random move of one of two honest brokers whose ledgers reach each other late. */
type Act = {
  readonly who: 0 | 1;
  readonly what: 'receive' | 'owed' | 'intend' | 'give-up' | 'lie' | 'break-glass' | 'discard';
  readonly pick: number;
  readonly waitMs: number;
};

const act: fc.Arbitrary<Act> = fc.record({
  who: fc.constantFrom(0, 1),
  what: fc.oneof(
    { arbitrary: fc.constantFrom('receive', 'owed'), weight: 30 },
    { arbitrary: fc.constant('intend' as const), weight: 3 },
    { arbitrary: fc.constantFrom('give-up', 'lie', 'break-glass', 'discard'), weight: 2 },
  ),
  pick: fc.nat(1_000),
  waitMs: fc.oneof({ arbitrary: fc.nat(2_000), weight: 60 }, { arbitrary: fc.constant(3_600_000), weight: 1 }),
});

type Run = { readonly ledgers: readonly [readonly Placed[], readonly Placed[]]; readonly codes: ReadonlySet<string> };

function run(acts: readonly Act[]): Run {
  const parties: [Party, Party] = [party(CSP_A, CSP_B), party(CSP_B, CSP_A)];
  let now = START;
  const codes = new Set<string>();
  for (const { who, what, pick, waitMs } of acts) {
    // Whoever breaks the glass has waited for it.
    now = shift(now, what === 'break-glass' ? 2 * SAMPLE_DEADLINE_MS : waitMs);
    const self = parties[who];
    const next = what === 'receive' ? receive(self, parties[1 - who] ?? self) : moved(self, what, pick, now);
    parties[who] = deepFreeze(next);
    for (const m of next.journey.migrations) codes.add(summarize(m).phase);
  }
  return { ledgers: [parties[0].ledger, parties[1].ledger], codes };
}

function moved(self: Party, what: Exclude<Act['what'], 'receive'>, pick: number, now: typeof START): Party {
  switch (what) {
    case 'owed': {
      const owed = react(self.journey, self.self, now);
      const command = owed[pick % Math.max(owed.length, 1)];
      return command ? propose(self, performed(command, now), now) : self;
    }
    case 'intend': {
      const next: Epoch = epoch.parse(highestEpoch([self.journey]) + 1);
      const data = intentData(
        pick % 2 ? 'cold' : 'suspend',
        self.self,
        self.peer,
        now,
        ([undefined, 'slot', 'full'] as const)[pick % 3],
      );
      const id = migration(next * 2 + (self.self === CSP_A ? 0 : 1));
      return propose(self, { type: 'MigrationIntended', migration: id, epoch: next, data }, now);
    }
    case 'give-up': {
      const m = self.journey.migrations.at(-1);
      return m ? propose(self, ending(m.id, m.source === self.self), now) : self;
    }
    case 'break-glass': {
      const m = self.journey.migrations.at(-1);
      const release = m?.facts.KeyReleased?.digest;
      if (m === undefined || release === undefined) return self;
      const data = breakGlassData(release, highestEpoch([self.journey]) + 1);
      return propose(self, { type: 'BreakGlassResumed', migration: m.id, data }, now);
    }
    case 'discard': {
      const m = self.journey.migrations.find(({ targetPhase }) => targetPhase === 'fenced');
      const fenced = m?.facts.CopyFenced?.digest;
      if (m === undefined || fenced === undefined) return self;
      const data = { fenced, by: 'anna', reason: { code: 'OPERATOR', text: '' }, receipt: RECEIPT };
      return propose(self, { type: 'CopyDiscarded', migration: m.id, data }, now);
    }
    case 'lie': {
      const said = self.ledger[pick % Math.max(self.ledger.length, 1)];
      return said ? append(self, said.event, now) : self;
    }
  }
}

const ending = (id: ReturnType<typeof migration>, bySource: boolean): Proposal => {
  const reason = { code: 'OPERATOR', text: '' };
  if (bySource) return { type: 'Withdraw', migration: id, reason };
  return { type: 'Relinquish', migration: id, reason, receipt: RECEIPT, never: EVIDENCE };
};

/** Folds two ledgers in an order that the choices pick among those in which causes precede effects. */
function merge(
  [a, b]: Run['ledgers'],
  choices: readonly boolean[],
): { readonly journey: Journey; readonly voids: ReadonlyMap<Digest, string> } {
  let journey = deepFreeze(initialJourney(VM));
  const voids = new Map<Digest, string>();
  const known = new Set<Digest>();
  const queues = [[...a], [...b]];
  for (let turn = 0; ; turn++) {
    const ready = queues.filter(([next]) => next?.event.causes.every((cause) => known.has(cause)));
    const next = ready[choices[turn % choices.length] ? ready.length - 1 : 0]?.shift();
    if (!next) break;
    known.add(next.digest);
    const evolved = evolve(journey, deepFreeze(next));
    if (evolved.voidCode) voids.set(next.digest, evolved.voidCode);
    journey = deepFreeze(evolved.journey);
  }
  expect(queues).toEqual([[], []]);
  return { journey, voids };
}

const acts = fc.array(act, { minLength: 20, maxLength: 250, size: 'max' });

test('every causal order of two ledgers folds to the same journey and the same void events', () => {
  const phases = new Set<string>();
  fc.assert(
    fc.property(
      acts,
      fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      (story, one, other) => {
        const { ledgers, codes } = run(story);
        for (const code of codes) phases.add(code);
        expect(merge(ledgers, one)).toEqual(merge(ledgers, other));
      },
    ),
    { numRuns: 300 },
  );
  // The stories are worth telling: they come through, fail and turn back.
  expect(phases.size).toBeGreaterThan(10);
});

test('an honest broker never publishes what the fold voids', () => {
  const honest = fc.array(
    act.filter(({ what }) => what !== 'lie'),
    { minLength: 20, maxLength: 250, size: 'max' },
  );
  fc.assert(
    fc.property(honest, (story) => {
      expect([...merge(run(story).ledgers, [false]).voids]).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

/** What a hostile peer can do to an event that stays schema-valid: everything of another event, or at random. */
const twist = fc.record({
  type: fc.nat(100),
  migration: fc.nat(3),
  epoch: fc.integer({ min: 1, max: 4 }),
  publisher: fc.constantFrom(CSP_A, CSP_B, CSP_C),
  audience: fc.constantFrom(CSP_A, CSP_B, CSP_C),
  time: fc.constantFrom(
    START,
    shift(START, 1e9),
    '2026-02-30T00:00:00.000Z',
    '9999-12-31T23:59:59.999Z',
    '0000-01-01T00:00:00.000Z',
  ),
  causes: fc.array(fc.nat(40), { maxLength: 16 }),
});

test('total: no schema-valid event throws, and what is void changes nothing', () => {
  fc.assert(
    fc.property(acts, fc.array(twist, { minLength: 1, maxLength: 30 }), (story, twists) => {
      const { ledgers } = run(story);
      const all = [...ledgers[0], ...ledgers[1]];
      let { journey } = merge(ledgers, [true, false]);
      for (const t of twists) {
        const said = all[t.type % Math.max(all.length, 1)];
        if (!said) return;
        const event = twisted(said.event, t, all);
        const evolved = evolve(journey, { event, digest: said.digest });
        if (evolved.voidCode) expect(evolved.journey).toBe(journey);
        journey = deepFreeze(evolved.journey);
        for (const self of [CSP_A, CSP_B, CSP_C]) {
          react(journey, self, event.time);
          nextDeadline(journey, self);
          const { type, migration, epoch, data } = event;
          decide(journey, self, { type, migration, epoch, data } as Proposal, event.time);
        }
        for (const m of journey.migrations) summarize(m);
      }
    }),
    { numRuns: 200 },
  );
});

type Twist = Parameters<Parameters<typeof twist.map>[0]>[0];

function twisted(said: MigrationEvent, t: Twist, all: readonly Placed[]): MigrationEvent {
  const causes = t.causes.flatMap((i) => all[i]?.digest ?? []);
  const publisher: TrustDomain = t.publisher;
  const parsed = eventSchema.parse({
    ...said,
    migration: migration(t.migration),
    epoch: t.epoch,
    publisher,
    audience: t.audience,
    time: t.time,
    causes,
  });
  if (!('migration' in parsed)) throw new Error('expected an event of a migration');
  return parsed;
}
