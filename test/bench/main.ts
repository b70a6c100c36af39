import { parseArgs } from 'node:util';
import { replayBench } from './replay.ts';
import { type BenchResult, renderResult } from './result.ts';
import { transferBench } from './transfer.ts';

// `npm run bench -- NAME [--json] [--runs N] [--events N]`

/** A number that is not given is the benchmark's own default. */
export interface BenchSettings {
  readonly runs?: number;
  readonly events?: number;
}

/** Every benchmark by name. */
const BENCHES: Readonly<Record<string, (settings: BenchSettings) => Promise<BenchResult>>> = {
  transfer: transferBench,
  replay: replayBench,
};

const USAGE = `usage: npm run bench -- NAME [--json] [--runs N] [--events N]\nbenchmarks: ${Object.keys(BENCHES).join(', ')}\n`;

type Count = { readonly ok: boolean; readonly value: number | undefined };
function countOf(text: string | undefined): Count {
  const value = text === undefined ? undefined : Number(text);
  return { ok: value === undefined || (Number.isInteger(value) && value > 0), value };
}

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, runs: { type: 'string' }, events: { type: 'string' } },
  });
  const [name] = positionals;
  const bench = name === undefined ? undefined : BENCHES[name];
  const [runs, events] = [countOf(values.runs), countOf(values.events)];
  if (bench === undefined || positionals.length !== 1 || !runs.ok || !events.ok) {
    process.stderr.write(USAGE);
    return 2;
  }
  const result = await bench({ ...(runs.value === undefined ? {} : { runs: runs.value }), ...(events.value === undefined ? {} : { events: events.value }) });
  process.stdout.write(values.json ? `${JSON.stringify(result, null, 2)}\n` : renderResult(result));
  return 0;
}

process.exitCode = await main();
