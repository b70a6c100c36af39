import { epoch } from '@carnet/events';
import { expect, it } from 'vitest';
import { decide } from './decide.ts';
import { react } from './react.ts';
import { append, CSP_A, CSP_B, deliver, intentData, M, migration, party, propose, REASON, START } from './testing.ts';
import { shift } from './time.ts';

const LATER = shift(START, 1_800_000);

/** A asked twice in vain, asks once more as M, and B opens an M of its own: the VM never was there. */
function mirrored() {
  let a = party(CSP_A, CSP_B);
  for (const n of [2, 3]) {
    const intent = intentData('cold');
    a = propose(a, { type: 'MigrationIntended', migration: migration(n), epoch: epoch.parse(n - 1), data: intent }, START);
    a = propose(a, { type: 'Withdraw', migration: migration(n), reason: REASON }, START);
  }
  a = propose(a, { type: 'MigrationIntended', migration: M, epoch: epoch.parse(3), data: intentData('cold') }, START);
  const mirror = { type: 'MigrationIntended', migration: M, epoch: epoch.parse(2), causes: [] } as const;
  const b = append(party(CSP_B, CSP_A), { ...mirror, data: intentData('cold', CSP_B, CSP_A) }, START);
  return deliver({ a, b });
}

it('a peer that opens a migration of our id in the other direction does not keep ours from ending', () => {
  const { a } = mirrored();
  // It is not void: nothing that B knows forbids it.
  expect(a.journey.migrations.map(({ id, source, epoch: of }) => [id, source, of]).slice(-2)).toEqual([
    [M, CSP_B, 2],
    [M, CSP_A, 3],
  ]);
  expect(react(a.journey, CSP_A, LATER).map(({ type }) => type)).toContain('Withdraw');
  const withdrawn = decide(a.journey, CSP_A, { type: 'Withdraw', migration: M, reason: REASON }, LATER);
  expect(withdrawn).toMatchObject({ ok: true, draft: { type: 'MigrationWithdrawn', epoch: 3 } });
});

it('and is owed no answer while ours is open: it would be said in ours', () => {
  const { a } = mirrored();
  expect(react(a.journey, CSP_A, START)).toEqual([]);
});
