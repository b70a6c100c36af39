import { type MigrationMode, type Timestamp, timestamp } from '@carnet/events';
import { describe, expect, test } from 'vitest';
import { react } from './react.ts';
import { phaseOf } from './summarize.ts';
import { CSP_A, CSP_B, FIRST_EPOCH, intentData, migration, type Party, party, propose, receive, START, step } from './testing.ts';

const later = (now: Timestamp, ms: number): Timestamp => timestamp.parse(new Date(Date.parse(now) + ms).toISOString());

/** Both sides perform what they owe, and every event arrives, until nothing is left to do. */
export function settle(a: Party, b: Party, now: Timestamp): readonly [Party, Party] {
  let [source, target] = [a, b];
  for (;;) {
    const [before, after] = [source.ledger.length + target.ledger.length, 0];
    source = step(source, now);
    while (target.received < source.ledger.length) target = receive(target, source);
    target = step(target, now);
    while (source.received < target.ledger.length) source = receive(source, target);
    if (source.ledger.length + target.ledger.length + after === before) return [source, target];
  }
}

const begin = (mode: MigrationMode): Party =>
  propose(
    party(CSP_A, CSP_B),
    { type: 'MigrationIntended', migration: migration(1), epoch: FIRST_EPOCH, data: intentData(mode) },
    START,
  );

describe.each(['cold', 'suspend'] as const)('mode %s', (mode) => {
  test('goes from request to retirement when all is well', () => {
    const [a, b] = settle(begin(mode), party(CSP_B, CSP_A), START);
    expect(a.journey).toEqual(b.journey);
    expect(a.journey.migrations.map(phaseOf)).toEqual(['retired']);
    expect(a.ledger.map(({ event }) => event.type)).toEqual([
      'MigrationIntended',
      'OfferAgreed',
      'KeyDeposited',
      'SourceQuiesced',
      'ImageSealed',
      'KeyReleased',
      'SourceRetired',
    ]);
    expect(react(a.journey, CSP_A, later(START, 1))).toEqual([]);
    expect(react(b.journey, CSP_B, START)).toEqual([]);
  });
});
