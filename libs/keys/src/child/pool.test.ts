import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeCustody } from '../backends/custody-spec.ts';
import { KeysError } from '../result.ts';
import { TENANT } from '../testing/two-sides.ts';
import { CREATE_KEK } from './operations.ts';
import { type KeyProcess, startKeyProcess } from './pool.ts';
import { type KeyChild, spawnChild } from './spawn.ts';

const root = encodeCustody({ root: { kind: 'key' }, rootSecret: randomBytes(32) });
const input = { tenant: TENANT, version: 1 };
let running: KeyProcess | undefined;
afterEach(() => running?.close());

/** Children of one pool, as they were started. */
function watched(make: () => KeyChild = spawnChild, timeoutMs?: number) {
  const children: KeyChild[] = [];
  running = startKeyProcess(() => {
    const child = make();
    children.push(child);
    return child;
  }, timeoutMs);
  return { children, keys: running };
}

/** A child that runs other JavaScript than ours. */
const fake = (program: string) => () => spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'ignore'], env: {} });

const alive = (pid: number | undefined): boolean => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('key process', () => {
  it('serves requests made together in one child, the next ones in another', async () => {
    const { children, keys } = watched();
    const together = await Promise.all([1, 2, 3].map((version) => keys.call(CREATE_KEK, { ...input, version }, root)));
    expect(together.every(({ ok }) => ok)).toBe(true);
    const [first] = children;
    expect(children.length).toBeLessThanOrEqual(2);
    await keys.call(CREATE_KEK, input, root);
    expect(children.length).toBeGreaterThan(1);
    expect(first?.killed || first?.exitCode === 0).toBe(true);
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
    const { children, keys } = watched(fake('setInterval(() => {}, 1000)'), 200);
    await expect(keys.call(CREATE_KEK, input, root)).rejects.toMatchObject({ code: 'CHILD_TIMEOUT', retryable: true });
    const [child] = children;
    await new Promise((resolve) => (child?.signalCode === null ? child.once('exit', resolve) : resolve(undefined)));
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

  it('starts another child when the idle one was killed', async () => {
    const { children, keys } = watched();
    await keys.call(CREATE_KEK, input, root);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const idle = children.at(-1);
    idle?.kill('SIGKILL');
    await new Promise((resolve) => idle?.once('exit', resolve));
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
