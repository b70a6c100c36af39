import { describe, expect, test } from 'vitest';
import { breakGlassFrom } from './deadlines.ts';
import { decide } from './decide.ts';
import { standingOf } from './diagnose.ts';
import { evolve } from './evolve.ts';
import { ended, epochAfter, haveBothRun } from './journey.ts';
import { summarize } from './summarize.ts';
import {
  breakGlassData,
  CSP_A,
  CSP_B,
  deliver,
  EVIDENCE,
  finish,
  given,
  intentData,
  M,
  migration,
  owes,
  type Pair,
  type Party,
  phase,
  placed,
  propose,
  REASON,
  RECEIPT,
  SAMPLE_DEADLINE_MS,
  START,
  step,
} from './testing.ts';
import { shift } from './time.ts';

const LATE = shift(START, SAMPLE_DEADLINE_MS + 30_001);

const theOne = ({ journey }: Party) => {
  const [m] = journey.migrations;
  if (m === undefined) throw new Error('no migration');
  return m;
};
const proposalOf = (p: Party, opens = 2) =>
  ({
    type: 'BreakGlassResumed',
    migration: M,
    data: breakGlassData(
      theOne(p).facts.KeyReleased?.digest ?? theOne(p).facts.MigrationIntended?.digest ?? (() => '' as never)(),
      opens,
    ),
  }) as const;
const broken = (p: Party): Party => propose(p, proposalOf(p), LATE);
/** What the target did meanwhile, of which the source has heard nothing. */
const targetAlone = (p: Party, steps: number): Party => Array.from({ length: steps }).reduce<Party>((b) => step(b, START), p);
const crossed = (steps: number): Pair => {
  const { a, b } = given('KeyReleased');
  return { a: broken(a), b: targetAlone(b, steps) };
};

describe('breaking the glass', () => {
  test('the source resumes in a higher epoch, and the target, which ran nothing, gives everything back', () => {
    const { a, b } = given('KeyReleased');
    const opened = broken(a);
    expect([phase(opened), owes(opened, LATE), epochAfter(theOne(opened))]).toEqual(['split-suspected', ['ResumeVm'], 2]);
    const told = deliver({ a: step(opened, LATE), b });
    expect([theOne(told.a).sourcePhase, phase(told.b), owes(told.b, LATE)]).toEqual([
      'resumed',
      'split-suspected',
      ['Relinquish'],
    ]);
    const end = finish(told, LATE);
    expect([phase(end.a), phase(end.b), owes(end.a, LATE), owes(end.b, LATE)]).toEqual(['rolled-back', 'rolled-back', [], []]);
    expect([ended(theOne(end.a)), standingOf(theOne(end.b))]).toEqual([true, 'stayed']);
  });

  test.each([
    [1, 'imported', 'Relinquish'],
    [2, 'authorized', 'FenceCopy'],
    [3, 'started', 'FenceCopy'],
    [4, 'healthy', 'FenceCopy'],
    [6, 'finalized', 'FenceCopy'],
  ] as const)('crossing with a target that has come %i steps further (%s), it owes %s', (steps, targetPhase, owed) => {
    const pair = crossed(steps);
    expect(theOne(pair.b).targetPhase).toBe(targetPhase);
    const { a, b } = deliver(pair);
    expect([theOne(a), theOne(b)].map(({ sourcePhase, targetPhase }) => [sourcePhase, targetPhase])).toEqual(
      [a, b].map(() => ['reclaimed', targetPhase]),
    );
    expect([phase(a), phase(b), owes(b, LATE)]).toEqual(['split-suspected', 'split-suspected', [owed]]);
  });

  test('both ran: the target’s copy is stopped and kept until it is discarded; then both are through', () => {
    const fenced = finish(crossed(4), LATE);
    const states = [fenced.a, fenced.b].map((p) => [phase(p), theOne(p).targetPhase, standingOf(theOne(p)), ended(theOne(p))]);
    expect(states).toEqual([0, 1].map(() => ['split-suspected', 'fenced', 'split', false]));
    expect([owes(fenced.a, LATE), owes(fenced.b, LATE)]).toEqual([[], []]);
    expect([fenced.a, fenced.b].map((p) => haveBothRun(theOne(p)))).toEqual([true, true]);
    expect(haveBothRun(theOne(finish(crossed(2), LATE).a))).toBe(false);
    const digest = theOne(fenced.b).facts.CopyFenced?.digest ?? RECEIPT.keys[0];
    const data = { fenced: digest, by: 'anna', reason: REASON, receipt: RECEIPT } as never;
    const { a, b } = deliver({ ...fenced, b: propose(fenced.b, { type: 'CopyDiscarded', migration: M, data }, LATE) });
    expect([a, b].map((p) => [phase(p), ended(theOne(p))])).toEqual([0, 1].map(() => ['rolled-back', true]));
    expect(summarize(theOne(a)).custody.at(-1)).toMatchObject({ event: 'CopyDiscarded', canOpen: [CSP_A] });
  });

  test('a target that learns of it makes no progress any more', () => {
    const { b } = deliver(crossed(2));
    const authorized = theOne(b).facts.StartAuthorized?.digest;
    const started = { type: 'VmStarted', migration: M, data: { authorized, evidence: EVIDENCE } } as never;
    expect(decide(b.journey, CSP_B, started, LATE)).toMatchObject({ ok: false, code: 'PEER_GAVE_UP' });
  });

  test('the next move takes an epoch above, and waits until the target has nothing left', () => {
    const intent = (p: Party, epoch: number) =>
      decide(
        p.journey,
        CSP_A,
        {
          type: 'MigrationIntended',
          migration: migration(2),
          epoch: epoch as never,
          data: intentData('cold', CSP_A, CSP_B, LATE),
        },
        LATE,
      );
    const fenced = finish(crossed(4), LATE);
    expect(intent(fenced.a, 3)).toMatchObject({ code: 'PREVIOUS_OPEN' });
    const { a } = finish(crossed(0), LATE);
    expect(intent(a, 2)).toMatchObject({ code: 'EPOCH_REUSED' });
    expect(intent(a, 3)).toMatchObject({ ok: true });
  });
});

describe('no glass is broken', () => {
  const refused = (p: Party, now = LATE, opens = 2) => {
    const decision = decide(p.journey, p.self, proposalOf(p, opens), now);
    expect(propose(p, proposalOf(p, opens), now)).toBe(p);
    return decision.ok ? 'taken' : decision.code;
  };

  test('before the deadline and its grace; one moment later it is', () => {
    const { a } = given('KeyReleased');
    const from = breakGlassFrom(theOne(a)) ?? START;
    expect([refused(a, START), refused(a, from)]).toEqual(['TOO_EARLY', 'TOO_EARLY']);
    expect(decide(a.journey, CSP_A, proposalOf(a), shift(from, 1))).toMatchObject({ ok: true });
  });

  test.each(['KeyImported', 'StartAuthorized', 'VmStarted', 'MigrationFinalized'] as const)('once %s has come', (last) => {
    expect(refused(given(last).a)).toBe('PEER_ANSWERED');
  });

  test('without a release, by the target, without a higher epoch, or twice', () => {
    const { a, b } = given('KeyReleased');
    expect(refused(given('ImageVerified').a)).toBe('WRONG_PHASE');
    expect(refused(b)).toBe('WRONG_PUBLISHER');
    expect(refused(a, LATE, 1)).toBe('EPOCH_REUSED');
    expect(decide(broken(a).journey, CSP_A, proposalOf(a), LATE)).toMatchObject({ code: 'WRONG_PHASE' });
  });

  test('by a source that knows of the answer: void for everyone', () => {
    const { a, b } = given('KeyImported');
    const before = deliver({ a, b }).b.journey;
    const said = proposalOf(a);
    const lie = placed(
      { ...said, epoch: theOne(a).epoch, causes: [theOne(a).facts.KeyImported?.digest ?? M] } as never,
      CSP_A,
      CSP_B,
      a.ledger.length + 1,
      LATE,
    );
    for (const journey of [before, a.journey]) {
      expect(evolve(journey, lie)).toEqual({ journey, voidCode: 'PEER_ANSWERED' });
    }
  });
});
