// npm run faults: real migrations, each with one fault. See README.md.
import { HELP, parseWanted, runsOf, type Selected } from './arguments.ts';
import { CELLS, deckOf } from './matrix.ts';
import { coverageOf, say, sumOf, tableOf, textOfRun } from './report.ts';
import { commitHere, linesIn, resultsFile } from './results.ts';
import { ride } from './ride.ts';
import { rideTrains, trainHere } from './trains.ts';

async function play(wanted: Selected): Promise<number> {
  const startedMs = performance.now();
  const runs = runsOf(wanted);
  const trains = Math.min(wanted.trains, runs.length);
  say(
    `seed ${wanted.seed}, ${runs.length} runs of ${CELLS.length} cells${trains > 1 ? `, ${trains} trains` : ''}, commit ${commitHere()}`,
  );
  if (runs.length === 0) return 1;
  const { code, lines } = await rideTrains(trains, wanted.afterFailure);
  say(`\n${tableOf(lines)}\n`);
  say(`${((performance.now() - startedMs) / 60_000).toFixed(1)} minutes`);
  say(sumOf(lines));
  return code === 0 && lines.length === runs.length ? 0 : Math.max(code, 1);
}

function report({ seed }: Selected): void {
  const lines = linesIn(resultsFile(seed));
  say(`${tableOf(lines)}\n`);
  say(`commits: ${[...new Set(lines.map(({ commit }) => commit))].join(', ')}`);
  say(coverageOf(lines, deckOf(seed, CELLS.length)));
  say(sumOf(lines));
}

async function main(): Promise<number> {
  const wanted = parseWanted(process.argv.slice(2));
  const train = trainHere();
  switch (wanted.kind) {
    case 'help':
      say(HELP);
      return 0;
    case 'wrong':
      process.stderr.write(`npm run faults: ${wanted.text}\n\n${HELP}`);
      return 2;
    case 'list':
      for (const run of runsOf(wanted)) say(textOfRun(run));
      return 0;
    case 'report':
      report(wanted);
      return 0;
    case 'runs':
      if (process.getuid?.() !== 0) {
        process.stderr.write('npm run faults: needs root, for network namespaces, mounts and the Unix users of both clouds\n');
        return 2;
      }
      return train === undefined ? play(wanted) : ride(wanted, train);
  }
}

process.exitCode = await main();
