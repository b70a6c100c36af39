import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { decideMove, disagreement, openPolicySet, questionAbout } from './index.ts';
import { crypto } from './testing/owners.ts';
import { intentOf, MONDAY } from './testing/sets.ts';

const intent = intentOf();
const facts = { action: 'send', time: MONDAY, open: { migrations: 0, memoryMiB: 0, diskBytes: 0 } } as const;

it('the example of the README runs', () => {
  // example
  const place = { uid: { type: 'Csp', id: 'csp-b.example' }, attrs: { jurisdictions: ['EU', 'FR'], level: 1 } };
  const rules = '@id("cold-only") permit (principal, action == Action::"send", resource) when { context.mode == "cold" };';
  const files = new Map([
    ['set.json', '{"version": 1}'],
    ['entities.json', JSON.stringify([place])],
    ['moves.cedar', rules],
  ]);
  const opened = openPolicySet(files, crypto);
  if (!opened.ok) throw new Error(opened.text);
  const decision = decideMove(opened.value, questionAbout(intent, facts), intent);
  const again = disagreement(opened.value, intent, decision);
  // decision.determining is ['cold-only'], and again is undefined: the same once more
  // end
  expect([decision.allowed, decision.determining, again]).toEqual([true, ['cold-only'], undefined]);
});

it('and is the README’s', () => {
  const own = readFileSync(import.meta.filename, 'utf8')
    .split('// example\n')[1]
    ?.split('  // end')[0]
    ?.replaceAll(/^ {2}/gm, '')
    .trimEnd();
  expect(readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')).toContain(own);
});
