import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeCustody } from '../backends/custody-spec.ts';
import { IN_FLIGHT_MAX } from '../limits.ts';
import { KeysError } from '../result.ts';
import { TENANT } from '../testing/two-sides.ts';
import { CREATE_KEK } from './operations.ts';
import { type KeyProcess, startKeyProcess } from './pool.ts';
import type { SessionTimes } from './session.ts';
import { type KeyChild, spawnChild } from './spawn.ts';

const root = encodeCustody({ root: { kind: 'key' }, rootSecret: randomBytes(32) });
const input = { tenant: TENANT, version: 1 };
let running: KeyProcess | undefined;
afterEach(() => running?.close());

/** Children of one pool, as they were started. */
function watched(make: () => KeyChild = spawnChild, times: Partial<SessionTimes> = {}) {
  const children: KeyChild[] = [];
  running = startKeyProcess(() => {
    const child = make();
    children.push(child);
    return child;
  }, times);
  return { children, keys: running };
}

/** A child that runs other JavaScript than ours. */
const fake = (program: string) => () => {
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'ignore'], env: {} });
  // As of a real one: that it dies under a write is noticed by the end of its output.
  child.stdin.on('error', () => undefined);
  return child;
};

const alive = (pid: number | undefined): boolean => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};

const written = (child: KeyChild | undefined): number => (child?.stdin instanceof Socket ? child.stdin.bytesWritten : 0);

const gone = async (child: KeyChild | undefined): Promise<void> => {
  if (child?.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
};

describe('key process', () => {
  it('that cannot be started refuses what waits, to be tried again, and ends nobody; without a spare it works on', async () => {
    let room = 0;
    const { children, keys } = watched(() => {
      if (room === 0) throw new Error('spawn ENOMEM');
      room -= 1;
      return spawnChild();
    });
    const together = await Promise.allSettled([keys.call(CREATE_KEK, input, root), keys.call(CREATE_KEK, input, root)]);
    expect(together.map((each) => each.status === 'rejected' && each.reason)).toEqual(
      [1, 2].map(() => expect.objectContaining({ code: 'CHILD_FAILED', retryable: true })),
    );
    room = 1;
    expect(await keys.call(CREATE_KEK, input, root)).toMatchObject({ ok: true });
    expect(children).toHaveLength(1);
  });

  it('serves requests in one child while they come, the next ones in another', async () => {
    const { children, keys } = watched(spawnChild, { idleMs: 1_000, servesMs: 60_000 });
    const together = await Promise.all([1, 2, 3].map((version) => keys.call(CREATE_KEK, { ...input, version }, root)));
    expect(together.every(({ ok }) => ok)).toBe(true);
    const [first, spare] = children;
    await keys.call(CREATE_KEK, input, root);
    expect([children.length, first?.exitCode]).toEqual([2, null]);
    await gone(first);
    expect(first?.exitCode === 0 || first?.killed).toBe(true);
    await keys.call(CREATE_KEK, input, root);
    expect([written(first), written(spare)].every((bytes) => bytes > 0)).toBe(true);
    expect(children).toHaveLength(3);
  });

  it('ends a child whose time is over, however much still comes, and loses nothing', async () => {
    const { children, keys } = watched(spawnChild, { idleMs: 60_000, servesMs: 1 });
    // One after the other, so that a request is always there when a child's time ends.
    const chain = async (): Promise<readonly boolean[]> => {
      const answers: boolean[] = [];
      for (let i = 0; i < 4; i++) answers.push((await keys.call(CREATE_KEK, input, root)).ok);
      return answers;
    };
    const answers = await Promise.all([chain(), chain(), chain()]);
    expect(answers.flat()).toEqual(Array.from({ length: 12 }, () => true));
    expect(children.length).toBeGreaterThan(2);
  });

  it('has one child at work at a time, with no more than it may hold', async () => {
    const { children, keys } = watched(spawnChild, { idleMs: 60_000, servesMs: 60_000 });
    const many = Array.from({ length: IN_FLIGHT_MAX * 2 + 1 }, (_, i) =>
      keys.call(CREATE_KEK, { ...input, version: i + 1 }, root),
    );
    const versions = (await Promise.all(many)).map((answer) => (answer.ok ? answer.value.version : undefined));
    expect(versions).toEqual(many.map((_, i) => i + 1));
    expect(children.filter((child) => written(child) > 0)).toHaveLength(1);
  });

  it('has nothing in its arguments or environment, and the root neither', async () => {
    const { children, keys } = watched();
    const answer = keys.call(CREATE_KEK, input, root);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const [child] = children;
    const seen = readFileSync(`/proc/${child?.pid}/cmdline`);
    const environment = readFileSync(`/proc/${child?.pid}/environ`);
    await answer;
    expect(environment).toHaveLength(0);
    expect(seen.toString()).toContain('main.ts');
    for (const form of [root, Buffer.from(root.toString('hex')), Buffer.from(root.toString('base64'))])
      expect(seen.includes(form)).toBe(false);
  });

  it('is killed when it does not answer in time', async () => {
    const { children, keys } = watched(fake('setInterval(() => {}, 1000)'), { timeoutMs: 200 });
    await expect(keys.call(CREATE_KEK, input, root)).rejects.toMatchObject({ code: 'CHILD_TIMEOUT', retryable: true });
    const [child] = children;
    await gone(child);
    expect(alive(child?.pid)).toBe(false);
  });

  it.each([
    ['dies at once', 'process.exit(3)', 'CHILD_FAILED'],
    ['dies with a core-like signal', "process.kill(process.pid, 'SIGKILL')", 'CHILD_FAILED'],
    ['says garbage', "process.stdout.write('{not a frame, though long enough}')", 'CHILD_PROTOCOL'],
    [
      'answers with a code nobody knows',
      `const t='{"ok":false,"code":"EVIL"}';const b=Buffer.alloc(8);b.writeUInt32BE(t.length,0);b.writeUInt32BE(t.length,4);process.stdout.write(Buffer.concat([b,Buffer.from(t)]))`,
      'CHILD_PROTOCOL',
    ],
  ])('a child that %s is an error with a code and no values', async (_name, program, code) => {
    const { keys } = watched(fake(program));
    const error: unknown = await keys.call(CREATE_KEK, input, root).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(KeysError);
    expect(error).toMatchObject({ code });
    expect(JSON.stringify(error) + String(error)).not.toContain(root.toString('hex'));
  });

  it('starts another child when the spare one was killed', async () => {
    const { children, keys } = watched(spawnChild, { idleMs: 1 });
    await keys.call(CREATE_KEK, input, root);
    const [first, spare] = children;
    await gone(first);
    spare?.kill('SIGKILL');
    await gone(spare);
    expect((await keys.call(CREATE_KEK, input, root)).ok).toBe(true);
  });

  it('leaves no process behind when it is closed', async () => {
    const { children, keys } = watched();
    const answer = keys.call(CREATE_KEK, input, root).catch((caught: unknown) => caught);
    keys.close();
    expect(await answer).toMatchObject({ code: 'CLOSED' });
    await expect(keys.call(CREATE_KEK, input, root)).rejects.toMatchObject({ code: 'CLOSED' });
    await Promise.all(
      children.map((child) =>
        child.exitCode === null && child.signalCode === null ? new Promise((r) => child.once('exit', r)) : null,
      ),
    );
    expect(children.some((child) => alive(child.pid))).toBe(false);
  });
});
