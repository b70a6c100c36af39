import { join } from 'node:path';
import { scratch, softhsmToken, startBarbican, stopEverything } from '@carnet/dev';
import { type BackendUnderTest, imported } from '../../libs/keys/src/testing/contract-suite.ts';
import { inToken, openBarbican } from '../../libs/keys/src/testing/managers.ts';
import { begin, openSide, type Side } from '../../libs/keys/src/testing/two-sides.ts';
import type { BenchSettings } from './main.ts';
import { type BenchResult, benchCase, median, type Series } from './result.ts';
import { rotationCase } from './rotation.ts';

/** Hand-overs in one round of one contender. */
const HANDOVERS = 2;
const RUNS = 3;
/** Under one project's KEK when it is rotated. */
const DEKS = 100_000;

type Contender = { readonly name: string; readonly a: Side; readonly b: Side; readonly values: number[] };

/** Whole hand-overs (two keys each: deposit, acknowledgement, release, import) from a sealed file into each kind of key manager. */
export async function keysBench({ runs = RUNS, deks = DEKS }: BenchSettings): Promise<BenchResult> {
  const dir = scratch('bkeys');
  const barbican = await startBarbican({ dir: join(dir, 'barbican') });
  const file: BackendUnderTest = { options: {}, copiesOutside: async () => 0 };
  const contenders: Contender[] = [];
  for (const [name, under] of [
    ['sealed file', file],
    ['PKCS#11 (SoftHSM)', await inToken(softhsmToken({ dir: join(dir, 'hsm'), label: 'bench' }))],
    ['Barbican (SQLite)', openBarbican(barbican, 'bench')],
  ] as const)
    contenders.push({
      name,
      a: await openSide(),
      b: await openSide({ ...under.options, domain: 'csp-b.example' }),
      values: [],
    });
  // The first one starts children and makes the tenant's KEK.
  for (const { a, b } of contenders) await imported(a, b, await begin(a, b));
  for (let run = 0; run < runs; run += 1) {
    for (const { name, a, b, values } of contenders) {
      const stories = [];
      for (let n = 0; n < HANDOVERS; n += 1) stories.push(await begin(a, b));
      const startMs = performance.now();
      for (const story of stories) await imported(a, b, story);
      values.push((HANDOVERS * 1_000) / (performance.now() - startMs));
      process.stderr.write(`${name}: ${values.at(-1)?.toFixed(2)} hand-overs/s\n`);
    }
  }
  for (const { a, b } of contenders) {
    await a.close();
    await b.close();
  }
  const rotation = await rotationCase(deks);
  await stopEverything();
  const [ours, ...peers] = contenders.map(({ name, values }): Series => ({ name, values, median: median(values) }));
  if (ours === undefined) throw new Error('a benchmark has contenders');
  const handovers = benchCase('deposit + release + import, one at a time', 'hand-overs/s', 'higher', ours, peers);
  return { name: 'keys', cases: [handovers, rotation] };
}
