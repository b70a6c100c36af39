import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decideMove, disagreement } from '@carnet/policy';
import { authorize } from '../../libs/policy/src/engine.ts';
import { requestOf, vmEntity } from '../../libs/policy/src/question.ts';
import { ENTITIES, intentOf, sending, setOf, user } from '../../libs/policy/src/testing/sets.ts';
import type { BenchSettings } from './main.ts';
import { type BenchResult, benchCase, median, type Series } from './result.ts';

const RUNS = 5;
const DECISIONS = 500;
/** Besides those that the rules speak of: a set is parsed once, but its entities go to the engine with every question. */
const STRANGERS = 100;

/** Decisions of the demonstration's set, beside the engine's own answer to the same question, and beside the auditor's repetition. */
export async function policyBench({ runs = RUNS }: BenchSettings): Promise<BenchResult> {
  const rules = readFileSync(join(import.meta.dirname, '../../infra/dev/policies/moves.cedar'), 'utf8');
  const strangers = Array.from({ length: STRANGERS }, (_, i) => user(`spiffe://csp-a.example/user-${i}`, ['operator']));
  const set = setOf(rules, { entities: [...ENTITIES, ...strangers] });
  const intent = intentOf();
  const asked = sending(intent);
  const decided = decideMove(set, asked, intent);
  if (!decided.allowed) throw new Error(`the question is meant to be allowed: ${JSON.stringify(decided.reasons)}`);
  const request = requestOf(asked, {
    secondPerson: false,
    consent: 'CONSENT_MISSING',
    accredited: [],
    accreditedLevel: 0,
    accreditation: 'GIVEN',
  });
  const entities = [...set.entities, vmEntity(asked.vm, intent.spec)];
  const contenders: readonly (readonly [string, () => boolean])[] = [
    ['decisions', () => decideMove(set, asked, intent).allowed],
    ['the engine alone', () => authorize(set.ruledBy.policySet, request, entities).allowed],
    ['repeated by an auditor', () => disagreement(set, intent, decided) === undefined],
  ];
  const series = contenders.map(([name]) => ({ name, values: [] as number[] }));
  for (let run = 0; run < runs; run += 1)
    for (const [i, [name, ask]] of contenders.entries()) {
      const startMs = performance.now();
      for (let n = 0; n < DECISIONS; n += 1) if (!ask()) throw new Error(`${name}: another answer than before`);
      series[i]?.values.push((DECISIONS * 1_000) / (performance.now() - startMs));
    }
  const [ours, ...peers] = series.map(({ name, values }): Series => ({ name, values, median: median(values) }));
  if (ours === undefined) throw new Error('a benchmark has contenders');
  return { name: 'policy', cases: [benchCase(`${set.entities.length} entities`, 'decisions/s', 'higher', ours, peers)] };
}
