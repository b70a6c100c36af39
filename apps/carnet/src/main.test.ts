import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detail, ended, entry, key, MIGRATION } from './testing/samples.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';

let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn();
}, 60_000);
afterAll(() => broker.close());

/** The program as a process of its own. */
function start(args: readonly string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    env: { PATH: process.env['PATH'], XDG_CONFIG_HOME: broker.configHome },
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return { child, out: () => out, err: () => err };
}

describe('the process', () => {
  it('SIGINT detaches: exit 4, and how to come back', async () => {
    broker.script({ [`GET /v1/migrations/${MIGRATION}`]: { json: detail }, 'GET /v1/events': { json: { items: [entry(1)] } } });
    const { child, out, err } = start(['migration', 'watch', MIGRATION]);
    await expect.poll(out, { timeout: 10_000 }).toContain('MigrationIntended');
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    expect(code, err()).toBe(4);
    expect(err()).toContain(`carnet migration watch ${MIGRATION}`);
  });

  it('writes all of a long answer before it ends, table or not', async () => {
    const items = Array.from({ length: 2_000 }, () => key);
    broker.script({ 'GET /v1/keys': { json: { items } } });
    const { child, out } = start(['key', 'list']);
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(JSON.parse(out())).toEqual(items);
  });

  it('ends with its own exit code, however slowly it is read', async () => {
    const entries = Array.from({ length: 30 }, (_, n) => entry(n, { event: 'x'.repeat(4_000) }));
    broker.script({
      [`GET /v1/migrations/${MIGRATION}`]: { json: ended('rolled-back') },
      'GET /v1/events': { json: { items: entries } },
    });
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), 'migration', 'watch', MIGRATION], {
      env: { PATH: process.env['PATH'], XDG_CONFIG_HOME: broker.configHome },
    });
    const closed = once(child, 'close');
    // Nobody reads stdout before the verb is over: more than a pipe holds is still inside the process then.
    const [said] = await once(child.stderr, 'data');
    child.stderr.resume();
    let read = 0;
    child.stdout.on('data', (bytes: Buffer) => {
      read += bytes.length;
    });
    const [code] = await closed;
    expect(String(said)).toContain('MIGRATION_ROLLED_BACK');
    expect(code).toBe(6);
    expect(read).toBeGreaterThan(30 * 4_000);
  });

  it('ends quietly when its reader has enough', async () => {
    broker.script({ 'GET /v1/keys': { json: { items: Array.from({ length: 20_000 }, () => key) } } });
    const { child, err } = start(['key', 'list', '-f', 'jsonl']);
    child.stdout.once('data', () => child.stdout.destroy());
    await once(child, 'close');
    expect(err()).toBe('');
  });
});
