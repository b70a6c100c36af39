import { timestamp } from '@carnet/events';
import type { Journey } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import {
  breakGlassData,
  CSP_B,
  deliver,
  given,
  M,
  propose,
  SAMPLE_DEADLINE_MS,
  START,
  step,
} from '../../../../libs/saga/src/testing.ts';
import { reasonOf } from '../reason.ts';
import { createPerformer } from './perform.ts';
import { fakeContext, owed, refusedBy } from './testing/fake-context.ts';

/** The target's journey when it learns that the source broke the glass, after so many steps of its own. */
function learnt(steps: number): Journey {
  const { a, b } = given('KeyReleased');
  const release = a.journey.migrations[0]?.facts.KeyReleased?.digest;
  if (release === undefined) throw new Error('no release');
  const late = timestamp.parse(new Date(Date.parse(START) + SAMPLE_DEADLINE_MS + 60_000).toISOString());
  const broken = propose(a, { type: 'BreakGlassResumed', migration: M, data: breakGlassData(release, 2) }, late);
  let alone = b;
  for (let i = 0; i < steps; i++) alone = step(alone, START);
  return deliver({ a: broken, b: alone }).b.journey;
}
const FALSE = { peers: { breakGlassFault: async () => reasonOf('BREAK_GLASS_OWNER_FALSE', 'not the owner') } };

describe('a target that learns of a broken glass', () => {
  it('has its copy stopped and fenced, and destroys nothing', async () => {
    const journey = learnt(3);
    const { context, done } = fakeContext(CSP_B, journey);
    expect(await createPerformer(context)(owed(journey, CSP_B, 'FenceCopy'))).toMatchObject({ kind: 'recorded' });
    expect(done).toEqual(['host standDown', 'event CopyFenced']);
  });

  it('gives back what never ran', async () => {
    const journey = learnt(0);
    const { context, done } = fakeContext(CSP_B, journey);
    expect(await createPerformer(context)(owed(journey, CSP_B, 'Relinquish'))).toMatchObject({ kind: 'recorded' });
    expect(done).toContain('event MigrationRelinquished');
  });

  it.each([
    [0, 'Relinquish'],
    [3, 'FenceCopy'],
  ] as const)('stops and destroys nothing for a source without a quorum (after %i steps)', async (steps, command) => {
    const journey = learnt(steps);
    const { context, done } = fakeContext(CSP_B, journey, {}, FALSE);
    const outcome = await createPerformer(context)(owed(journey, CSP_B, command));
    expect([outcome, done]).toEqual([expect.objectContaining({ kind: 'failed', code: 'BREAK_GLASS_OWNER_FALSE' }), []]);
  });

  it('says that nothing is fenced while the host refuses', async () => {
    const journey = learnt(3);
    const { context, done } = fakeContext(CSP_B, journey, { standDown: [refusedBy('EPOCH_FENCED')] });
    const outcome = await createPerformer(context)(owed(journey, CSP_B, 'FenceCopy'));
    expect(outcome).toMatchObject({ kind: 'failed', code: 'EPOCH_FENCED' });
    expect(done).toEqual(['host standDown']);
  });
});
