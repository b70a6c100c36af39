// What `npm test` runs: all phases to their end, whatever fails, and one closing line.
import { constants } from 'node:os';
import { HELP, type PhaseName, parseArguments, type Selection } from './runner/arguments.ts';
import { add, NONE, type Tally } from './runner/tally.ts';
import { interrupted, runTool, runVitest, watchSignals } from './runner/tools.ts';

type Phase = { readonly name: PhaseName; readonly heading: string; readonly run: (filter: string | undefined) => Promise<Tally> };

const PHASES: readonly Phase[] = [
  // One checker for each project: with four, as it likes to, they check the same types again and take three times as much of two cores.
  { name: 'types', heading: 'types: tsc -b', run: () => runTool('tsc', ['-b', '--checkers', '1']) },
  {
    name: 'lint',
    heading: 'lint: oxlint, biome',
    run: async () => add(await runTool('oxlint', []), await runTool('biome', ['check'])),
  },
  { name: 'unit', heading: 'unit tests: nothing but Node', run: (filter) => runVitest(['unit'], filter) },
  {
    name: 'real',
    heading: 'tests on real parts: libvirtd, QEMU, PostgreSQL, nats-server, SoftHSM, Barbican, Keystone',
    run: (filter) => runVitest(filter === undefined ? ['real', 'clouds'] : ['real', 'clouds', 'long'], filter),
  },
];

function selected(selection: Selection): readonly Phase[] {
  switch (selection.kind) {
    case 'everything':
      return PHASES;
    case 'phase':
      return PHASES.filter(({ name }) => name === selection.phase);
    case 'files':
      return PHASES.filter(({ name }) => name === 'unit' || name === 'real');
    case 'help':
    case 'wrong':
      return [];
  }
}

async function runPhase({ heading, run }: Phase, filter: string | undefined): Promise<Tally> {
  process.stdout.write(`\n── ${heading}\n`);
  const startedMs = performance.now();
  const tally = await run(filter);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`── ${tally.passed} passed, ${tally.failed.length} failed, ${seconds} s\n`);
  return tally;
}

async function main(selection: Selection): Promise<number> {
  if (selection.kind === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  if (selection.kind === 'wrong') {
    process.stderr.write(`npm test: unknown argument: ${selection.argument}\n\n${HELP}`);
    return 2;
  }
  watchSignals();
  let total = NONE;
  for (const phase of selected(selection)) {
    if (interrupted() !== undefined) break;
    total = add(total, await runPhase(phase, selection.kind === 'files' ? selection.filter : undefined));
  }
  // An hour of output is above: what failed is said once more where one looks first.
  if (total.failed.length > 0) process.stdout.write(`\nfailed:\n${total.failed.map((what) => `   ${what}\n`).join('')}`);
  process.stdout.write(`\n${total.passed} passed, ${total.failed.length} failed\n`);
  const signal = interrupted();
  if (signal !== undefined) return 128 + constants.signals[signal];
  return total.failed.length === 0 && total.passed > 0 ? 0 : 1;
}

process.exitCode = await main(parseArguments(process.argv.slice(2)));
