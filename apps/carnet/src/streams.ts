import type { Streams } from './world.ts';

/** The process's own streams. A closed pipe (`| head`) ends the program quietly. */
export function processStreams(interrupt: AbortSignal): Streams {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  }
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    isTerminal: process.stdout.isTTY === true && process.stderr.isTTY === true,
    environment: process.env,
    nowMs: () => Date.now(),
    interrupt,
  };
}
