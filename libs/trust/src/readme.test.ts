import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { replay } from './testing/example.ts';
import { contextOf, emptyLedger, keyOf, ledgerOf, refusedDraft, seal, someDigest } from './testing/ledger.ts';

it('the example of the README is the code that runs here', () => {
  const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8');
  const [, example] = /```ts\n([\s\S]*?)```/.exec(read('../README.md')) ?? [];
  expect(example).toBe(read('testing/example.ts'));
});

it('and it replays a ledger, names what is void, and stops at a fork', () => {
  const ledger = ledgerOf(3);
  const odd = seal(refusedDraft(ledger, { type: 'MigrationTeleported' }), keyOf(0));
  const forked = seal(refusedDraft(ledger, { seq: '6', prev: someDigest(1) }), keyOf(0));
  const { state, voids, stopped } = replay(emptyLedger.state, [...ledger.envelopes, odd, forked], contextOf(emptyLedger));
  expect(state.head?.seq).toBe('5');
  expect(voids).toEqual(['5 TYPE_UNKNOWN']);
  expect(stopped).toMatchObject({ kind: 'fork', seq: '5' });
});
