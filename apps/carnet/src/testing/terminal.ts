import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { run } from '../program.ts';
import type { Streams } from '../world.ts';

export interface Ended {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}
export interface Settings {
  readonly terminal?: boolean;
  readonly environment?: NodeJS.ProcessEnv;
  readonly interrupt?: AbortSignal;
  readonly auditor?: string;
  readonly stdin?: string;
  /** Called with everything that was written to stdout so far. */
  readonly onOut?: (out: string) => void;
}

/** Runs one command line in this process, as `main.ts` would. */
export async function carnet(args: readonly string[], configHome: string, settings: Settings = {}): Promise<Ended> {
  let out = '';
  let err = '';
  const streams: Streams = {
    out: (text) => {
      out += text;
      settings.onOut?.(out);
    },
    err: (text) => {
      err += text;
    },
    outIsTerminal: settings.terminal === true,
    errIsTerminal: settings.terminal === true,
    environment: { XDG_CONFIG_HOME: configHome, ...settings.environment },
    nowMs: () => Date.now(),
    random: (n) => randomBytes(n),
    interrupt: settings.interrupt ?? new AbortController().signal,
    input: async () => settings.stdin ?? '',
    auditor: () => settings.auditor ?? join(import.meta.dirname, 'auditor-double.ts'),
  };
  const exit = await run(args, streams);
  return { exit, out, err };
}
