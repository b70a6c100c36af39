import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../apps/console/src/main.ts');

export interface ConsoleProcess {
  /** With the token of this start. */
  readonly url: string;
  /** Its log so far: must never hold the token. */
  readonly log: () => string;
  /** SIGTERM; gives the exit code. */
  readonly stop: () => Promise<number | null>;
}

/** Starts carnet-console as an operator does, and reads the one line that it prints. The UI must have been built. */
export async function startConsoleProcess(configFile: string): Promise<ConsoleProcess> {
  const child = spawn(process.execPath, [MAIN, '--config', configFile], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    log += part;
  });
  const url = await firstLine(child, () => log);
  return { url, log: () => log, stop: () => stop(child) };
}

async function firstLine(child: ChildProcess, log: () => string): Promise<string> {
  let printed = '';
  for await (const part of child.stdout ?? []) {
    printed += String(part);
    const [line, rest] = printed.split('\n');
    if (line !== undefined && rest !== undefined) return line;
  }
  throw new Error(`carnet-console ended before it printed its address: ${log()}`);
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
  return child.exitCode;
}
