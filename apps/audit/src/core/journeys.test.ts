import { MIGRATION_EVENTS_MAX } from '@carnet/events';
import { expect, it } from 'vitest';
import { begun, CSP_A, CSP_B, M, placed, REASON, START } from '../../../../libs/saga/src/testing.ts';
import { openJourneys } from './journeys.ts';

it('counts of what a publisher says in one migration as much as the brokers do', () => {
  const journeys = openJourneys();
  const [intent] = begun().a.ledger;
  if (intent === undefined) throw new Error('nothing was intended');
  const fold = (one: typeof intent) => journeys.fold(one as unknown as Parameters<typeof journeys.fold>[0])?.outcome;
  expect(fold(intent)).toHaveProperty('migration');
  const refusal = { type: 'MigrationRefused', migration: M, epoch: intent.event.epoch, causes: [intent.digest] } as const;
  const draft = { ...refusal, data: { intent: intent.digest, reasons: [REASON] } };
  const outcomes = Array.from({ length: MIGRATION_EVENTS_MAX + 2 }, (_, n) => fold(placed(draft, CSP_B, CSP_A, n + 1, START)));
  const codes = outcomes.map((outcome) => (outcome !== undefined && 'voidCode' in outcome ? outcome.voidCode : 'counts'));
  expect(codes).toEqual([
    'counts',
    ...Array.from({ length: MIGRATION_EVENTS_MAX - 1 }, () => 'WRONG_PHASE'),
    'MIGRATION_EVENTS_TOO_MANY',
    'MIGRATION_EVENTS_TOO_MANY',
  ]);
});
