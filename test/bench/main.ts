import { parseArgs } from 'node:util';
import { crowdBench } from './crowd.ts';
import { failoverBench } from './failover.ts';
import { floodBench } from './flood.ts';
import { intentBench } from './intent.ts';
import { keysBench } from './keys.ts';
import { loadBench } from './load.ts';
import { policyBench } from './policy.ts';
import { recoverBench } from './recover.ts';
import { replayBench } from './replay.ts';
import { type BenchResult, renderResult } from './result.ts';
import { simulateBench } from './simulate.ts';
import { transferBench } from './transfer.ts';

// `npm run bench -- NAME [--json] [--COUNT N]…`

const COUNTS = ['runs', 'events', 'finished', 'deks', 'active', 'releasing', 'rest', 'seeds', 'intents', 'garbage'] as const;
/** What is not given is the benchmark's own default. */
export type BenchSettings = { readonly [name in (typeof COUNTS)[number]]?: number };

/** Every benchmark by name. */
const BENCHES: Readonly<Record<string, (settings: BenchSettings) => Promise<BenchResult>>> = {
  transfer: transferBench,
  crowd: crowdBench,
  replay: replayBench,
  failover: failoverBench,
  flood: floodBench,
  intent: intentBench,
  keys: keysBench,
  load: loadBench,
  policy: policyBench,
  recover: recoverBench,
  simulate: simulateBench,
};

const USAGE = `usage: npm run bench -- NAME [--json]${COUNTS.map((name) => ` [--${name} N]`).join('')}
benchmarks: ${Object.keys(BENCHES).join(', ')} (test/bench/README.md)
`;

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      ...Object.fromEntries(COUNTS.map((name) => [name, { type: 'string' } as const])),
    },
  });
  const given: Readonly<Record<string, unknown>> = values;
  const counts = COUNTS.flatMap((name) => (given[name] === undefined ? [] : [[name, Number(given[name])] as const]));
  const [name] = positionals;
  const bench = name === undefined ? undefined : BENCHES[name];
  if (bench === undefined || positionals.length !== 1 || counts.some(([, count]) => !Number.isInteger(count) || count < 1)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const settings: BenchSettings = Object.fromEntries(counts);
  const result = await bench(settings);
  process.stdout.write(values.json ? `${JSON.stringify(result, null, 2)}\n` : renderResult(result));
  return 0;
}

process.exitCode = await main();
