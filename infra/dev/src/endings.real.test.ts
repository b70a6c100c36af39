import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { eventually, findLeftovers } from './index.ts';

/** Starts a database and a nats-server, says where, and then ends in the given way or waits for a signal. */
function program(ending: string): string {
  return `
    import { scratch, startNats, startPostgres, stopEverything } from '${import.meta.resolve('./index.ts')}';
    const dir = scratch('end');
    await startPostgres({ dir: dir + '/pg' });
    await startNats({ dir: dir + '/nats', configText: 'listen: "127.0.0.1:{{port}}"' });
    process.stdout.write(dir);
    ${ending}`;
}

const WAIT = 'setInterval(() => undefined, 1000);';

type Ended = { readonly dir: string; readonly how: number | NodeJS.Signals | null };

async function runToItsEnd(code: string, signals: readonly NodeJS.Signals[]): Promise<Ended> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'ignore'] });
  const how = new Promise<Ended['how']>((resolve) => child.once('exit', (exitCode, signal) => resolve(signal ?? exitCode)));
  let dir = '';
  child.stdout.on('data', (chunk) => {
    dir += String(chunk);
  });
  await eventually('the daemons', () => (dir === '' ? undefined : true));
  for (const signal of signals) child.kill(signal);
  return { dir, how: await how };
}

describe('a program that started daemons leaves nothing behind', () => {
  test.each([
    ['it comes to its end', '', [], 0],
    ['it stops everything itself', 'await stopEverything();', [], 0],
    ['process.exit', 'process.exit(3);', [], 3],
    ['an uncaught error', 'throw new Error("oops");', [], 1],
    ['an unhandled rejection', `void Promise.reject(new Error("oops")); ${WAIT}`, [], 1],
    ['Ctrl-C', WAIT, ['SIGINT'], 'SIGINT'],
    ['Ctrl-C that arrives twice', WAIT, ['SIGINT', 'SIGINT'], 'SIGINT'],
    ['kill', WAIT, ['SIGTERM'], 'SIGTERM'],
    ['a closed terminal', WAIT, ['SIGHUP'], 'SIGHUP'],
    ['kill -9', WAIT, ['SIGKILL'], 'SIGKILL'],
  ] as const)('after %s', async (_, ending, signals, expected) => {
    const { dir, how } = await runToItsEnd(program(ending), signals);
    expect(how).toBe(expected);
    // Only after kill -9 there is something to wait for: the janitor.
    if (how === 'SIGKILL') await eventually('the janitor', () => (existsSync(dir) ? undefined : true));
    expect(findLeftovers({ dir })).toEqual([]);
  });
});
