#!/usr/bin/env node
import { run } from './program.ts';
import { processStreams } from './streams.ts';

const interrupt = new AbortController();
// The first Ctrl-C detaches or gives up in order; a second one finds Node's own handling again.
process.once('SIGINT', () => interrupt.abort());
process.once('SIGTERM', () => interrupt.abort());

const exit = await run(process.argv.slice(2), processStreams(interrupt.signal));
// A pipe takes its time: what was written must be out before the process is. `drain` would not do: less than a buffer gives none.
for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write('', resolve));
// Idle connections would keep the process for seconds: nothing is pending here any more.
process.exit(exit);
