import { spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { connectBroker } from '@carnet/publisher';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { neverBoth, withLogsOf } from '../faults/harness/checks.ts';
import type { Cloud } from '../faults/harness/cloud.ts';
import type { Clouds } from '../faults/harness/clouds.ts';
import { must, settled } from '../faults/harness/moves.ts';
import { judgeRestore } from '../faults/nightly/backup.ts';
import { wentBack } from '../faults/nightly/checks.ts';
import { TIME_LIMIT } from './time-limits.ts';

/** Accepts, and never answers. */
let silent: Server;
beforeAll(async () => {
  silent = createServer(() => undefined);
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
});
afterAll(() => void silent.close());

const messageOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
  throw new Error('nothing failed');
};

const notSeen = (what: string) => (): unknown => eventually(what, () => undefined, 1);

async function askedOf(port: number): Promise<void> {
  const broker = connectBroker(
    { url: `https://127.0.0.1:${port}`, serverName: 'broker.a', ca: '', credentials: { kind: 'token', token: 't' } },
    { patience: { answerMs: 20, firstRetryMs: 1, silenceMs: 20 } },
  );
  must(await broker.get('/v1/hosts').finally(() => broker.close()));
}

const answering = (value: object): Pick<Cloud, 'api'> =>
  ({ api: { get: async () => ({ ok: true, value }) } }) as unknown as Pick<Cloud, 'api'>;
const endedAs = (atA: object, atB: object): Promise<unknown> => settled({ a: answering(atA), b: answering(atB) }, 'a-move', 1);

/** Two hosts that let the same VM run, one after the other, without a stop between. */
const bothRan = (): void => {
  const side = (domain: string, at: string): unknown => ({
    plan: { domain },
    host: { effects: () => [{ uuid: 'u', effect: 'run', at }] },
  });
  neverBoth({ a: side('a.example', '1'), b: side('b.example', '2') } as unknown as Pick<Clouds, 'a' | 'b'>, {
    vm: 'v',
    uuid: 'u',
  });
};
const nowhere = { paths: { brokerLog: '/nonexistent', agentLog: '/nonexistent' } };
const logless = { a: nowhere, b: nowhere } as unknown as Pick<Clouds, 'a' | 'b'>;
const tick = (n: number) => ({ tick: { boot: 'x', n, upSeconds: 0 }, resets: 1 });

describe('what a busy machine explains', () => {
  const port = (): number => {
    const at = silent.address();
    return typeof at === 'object' && at !== null ? at.port : 0;
  };
  test.each([
    ['a wait of eventually', notSeen('a tick of the guest at a.example')],
    ['a move that goes on', () => endedAs({ ended: true, outcome: 'done' }, { ended: false, outcome: 'pending' })],
    ['a broker that does not answer', () => askedOf(port())],
    [
      'a wait, with the logs of its move',
      () => Promise.reject(new Error('X of m did not appear within 9 ms')).catch(withLogsOf(logless, 'm')),
    ],
  ])('%s', async (_, work) => {
    expect(await messageOf(work)).toMatch(TIME_LIMIT);
  });

  test.each([
    'NOT_READY: broker of a.example was not ready after 60000 ms\n{"msg":"…"}',
    'STILL_RUNNING: broker of a.example (pid 7) outlived SIGTERM by 20000 ms',
    'COMMAND_FAILED: /usr/bin/virsh -q list: spawnSync setpriv ETIMEDOUT',
    'Query read timeout',
    'timeout',
    'locator.click: Timeout 30000ms exceeded.\nCall log:',
  ])('%s', (message) => {
    expect(message).toMatch(TIME_LIMIT);
  });
});

describe('what nothing explains', () => {
  test.each([
    ['both ran', bothRan],
    ['a counter that went back', () => Promise.reject(new Error(wentBack(tick(50), tick(49), [])))],
    ['events that were lost unnoticed', () => judgeRestore({ events: 5, told: 2 }, undefined, 0)],
    ['a value', () => expect({ outcome: 'done within 5 ms' }).toEqual({ outcome: 'refused' })],
    ['a value that was polled for', async () => await expect.poll(() => 1, { timeout: 10 }).toBe(2)],
    ['ledgers that are not equal', notSeen('equal ledgers at both sides')],
    ['a VM that runs at both sides, or nowhere', notSeen('the VM at exactly one side')],
    ['two ends of one move', () => endedAs({ ended: true, outcome: 'done' }, { ended: true, outcome: 'rolled-back' })],
    ['a broker that is gone', () => askedOf(1)],
  ])('%s', async (_, work) => {
    expect(await messageOf(work)).not.toMatch(TIME_LIMIT);
  });

  test.each([
    'NOT_READY: broker of a.example ended at once\n{"msg":"not seen within 5 ms"}',
    'nothing of the VM at a.example, but there is: volume x',
    'LEDGER_FROZEN: no new work []',
  ])('%s', (message) => {
    expect(message).not.toMatch(TIME_LIMIT);
  });
});

test('vitest tries again what was late, and nothing else', () => {
  const fixtures = join(import.meta.dirname, 'fixtures');
  const vitest = join(import.meta.dirname, '../../node_modules/.bin/vitest');
  const { stdout } = spawnSync(vitest, ['run', '--root', fixtures, '--reporter=tap-flat'], { encoding: 'utf8' });
  const said = stdout.split('\n').flatMap((line) => /^(ok|not ok) .*> (.*?) #/.exec(line)?.slice(1, 3).join(': ') ?? []);
  expect(said).toEqual([
    'ok: a test that is late',
    'ok: a hook that is late',
    'ok: a wait that is late',
    'not ok: a wrong value',
  ]);
});
