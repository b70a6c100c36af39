import { describe, expect, test } from 'vitest';
import { evolve, initialJourney, react, summarize } from './index.ts';
import { begun, CSP_A, CSP_B, FIRST_EPOCH, finish, intentData, migration, party, propose, START, VM } from './testing.ts';

describe.each(['cold', 'suspend'] as const)('mode %s', (mode) => {
  test('goes from request to retirement when all is well', () => {
    const intent = { type: 'MigrationIntended', migration: migration(1), epoch: FIRST_EPOCH, data: intentData(mode) } as const;
    const { a, b } = finish({ a: propose(party(CSP_A, CSP_B), intent, START), b: party(CSP_B, CSP_A) });
    expect(a.journey).toEqual(b.journey);
    expect([...a.ledger, ...b.ledger].map(({ event }) => event.type)).toEqual([
      'MigrationIntended',
      'OfferAgreed',
      'KeyDeposited',
      'SourceQuiesced',
      'ImageSealed',
      'KeyReleased',
      'SourceRetired',
      'MigrationOffered',
      'DepositAcknowledged',
      'TargetReady',
      'ImageVerified',
      'KeyImported',
      'StartAuthorized',
      'VmStarted',
      'VmHealthy',
      'VolumeRekeyed',
      'MigrationFinalized',
    ]);
    expect([react(a.journey, CSP_A, START), react(b.journey, CSP_B, START)]).toEqual([[], []]);
  });
});

test('the example of the README', () => {
  const events = begun().a.ledger;
  // README
  let journey = initialJourney(VM);
  for (const placed of events) ({ journey } = evolve(journey, placed));
  const owed = react(journey, CSP_B, START).map(({ type }) => type);
  const phases = journey.migrations.map((m) => summarize(m).phase);
  // README
  expect(owed).toEqual(['AnswerIntent']);
  expect(phases).toEqual(['requested']);
});
