import { parseArgs } from 'node:util';
import { type BenchResult, renderResult } from './result.ts';
import { transferBench } from './transfer.ts';

// `npm run bench -- NAME [--json] [--runs N]`

export interface BenchSettings {
  readonly runs: number | undefined;
}

/** Every benchmark by name. */
const BENCHES: Readonly<Record<string, (settings: BenchSettings) => Promise<BenchResult>>> = {
  transfer: ({ runs }) => transferBench(runs === undefined ? {} : { runs }),
};

const USAGE = `usage: npm run bench -- NAME [--json] [--runs N]\nbenchmarks: ${Object.keys(BENCHES).join(', ')}\n`;

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, runs: { type: 'string' } },
  });
  const [name] = positionals;
  const bench = name === undefined ? undefined : BENCHES[name];
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (bench === undefined || positionals.length !== 1 || (runs !== undefined && !(Number.isInteger(runs) && runs > 0))) {
    process.stderr.write(USAGE);
    return 2;
  }
  const result = await bench({ runs });
  process.stdout.write(values.json ? `${JSON.stringify(result, null, 2)}\n` : renderResult(result));
  return 0;
}

process.exitCode = await main();
