#!/usr/bin/env node
import { once } from 'node:events';
import { run } from './program.ts';
import { processStreams } from './streams.ts';

const interrupt = new AbortController();
// The first Ctrl-C detaches or gives up in order; a second one finds Node's own handling again.
process.once('SIGINT', () => interrupt.abort());
process.once('SIGTERM', () => interrupt.abort());

const exit = await run(process.argv.slice(2), processStreams(interrupt.signal));
// A pipe takes its time: what was written must be out before the process is.
for (const stream of [process.stdout, process.stderr]) if (stream.writableLength > 0) await once(stream, 'drain');
// Idle connections would keep the process for seconds: nothing is pending here any more.
process.exit(exit);
