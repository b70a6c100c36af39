#!/usr/bin/env node
import { run } from './program.ts';
import { processStreams } from './streams.ts';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
process.once('SIGTERM', () => interrupt.abort());

// Exits by itself once the last socket is idle would take seconds: nothing is pending here any more.
process.exit(await run(process.argv.slice(2), processStreams(interrupt.signal)));
