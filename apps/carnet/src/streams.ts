import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import type { Streams } from './world.ts';

/** The process's own streams. A closed pipe (`| head`) ends the program quietly. */
export function processStreams(interrupt: AbortSignal): Streams {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  }
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    outIsTerminal: process.stdout.isTTY === true,
    errIsTerminal: process.stderr.isTTY === true,
    environment: process.env,
    nowMs: () => Date.now(),
    random: (n) => randomBytes(n),
    interrupt,
    input: (prompt) => (process.stdin.isTTY ? typed(prompt, interrupt) : text(process.stdin)),
    auditor: () => createRequire(import.meta.url).resolve('@carnet/audit'),
  };
}

async function typed(prompt: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(prompt, { signal });
  } finally {
    lines.close();
  }
}
