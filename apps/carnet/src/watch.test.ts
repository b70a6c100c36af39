import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEta } from './eta.ts';
import { detail, ended, entry, MIGRATION } from './testing/samples.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn();
}, 60_000);
afterAll(() => broker.close());

const path = `GET /v1/migrations/${MIGRATION}`;
const events = (...n: readonly number[]) => ({ json: { items: n.map((one) => entry(one)) } });
const progress = { step: 'receive', doneBytes: 512, totalBytes: 1024, bytesPerSecond: 100 };

describe('watch', () => {
  it('piped: one JSON line per event, each once', async () => {
    let looks = 0;
    broker.script({
      [path]: () => ({ json: ++looks < 3 ? detail : ended('done') }),
      'GET /v1/events': () => (looks < 2 ? events(1) : events(1, 2)),
    });
    const { exit, out, err } = await carnet(['migration', 'watch', MIGRATION], broker.configHome);
    expect([exit, err]).toEqual([0, '']);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { readonly seq: string }).seq),
    ).toEqual(['1', '2']);
  });

  it('on a terminal: both sides in lanes, progress on stderr', async () => {
    let looks = 0;
    broker.script({
      [path]: () => ({ json: ++looks < 2 ? { ...detail, progress } : ended('done') }),
      'GET /v1/events': events(1, 2),
    });
    const { out, err } = await carnet(['migration', 'watch', MIGRATION], broker.configHome, { terminal: true });
    expect(out).toBe(`12:00:00.000  MigrationIntended         │\n12:00:00.000  ${' '.repeat(26)}│ MigrationOffered\n`);
    expect(err).toContain('receive 50 % of 1.0 KiB, 100 B/s');
    expect(err.endsWith('\r\u001b[K')).toBe(true);
  });

  it('piped, but asked for as a table: lanes all the same', async () => {
    broker.script({ [path]: { json: ended('done') }, 'GET /v1/events': events(1) });
    const { out, err } = await carnet(['migration', 'watch', MIGRATION, '-f', 'table'], broker.configHome);
    expect([out, err]).toEqual(['12:00:00.000  MigrationIntended         │\n', '']);
  });

  it('wait is quiet, and shows the migration in the end', async () => {
    broker.script({ [path]: { json: ended('done') } });
    const { out, err } = await carnet(['migration', 'wait', MIGRATION, '-f', 'value', '-c', 'outcome'], broker.configHome);
    expect([out, err]).toEqual(['done\n', '']);
  });

  it('waits for a broker that restarts', async () => {
    let looks = 0;
    broker.script({
      [path]: () => {
        looks += 1;
        if (looks === 1) return { json: detail };
        // More often than one request is tried.
        return looks < 8 ? 'cut' : { json: ended('done') };
      },
    });
    const { exit, err } = await carnet(['migration', 'wait', MIGRATION, '-f', 'value', '-c', 'outcome'], broker.configHome);
    expect(exit).toBe(0);
    expect(err).toContain('no answer yet');
  }, 20_000);

  it('Ctrl-C detaches, never cancels, and says how to come back', async () => {
    const interrupt = new AbortController();
    broker.script({ [path]: { json: detail }, 'GET /v1/events': events(1) });
    const { exit, err } = await carnet(['migration', 'watch', MIGRATION], broker.configHome, {
      interrupt: interrupt.signal,
      onOut: () => interrupt.abort(),
    });
    expect(exit).toBe(4);
    expect(err).toContain(`carnet migration watch ${MIGRATION}`);
    expect(broker.seen.every(({ method }) => method === 'GET')).toBe(true);
  });

  it('Ctrl-C while the broker does not answer detaches, too', async () => {
    const interrupt = new AbortController();
    broker.script({
      [path]: () => {
        interrupt.abort();
        return 'hang';
      },
    });
    const { exit, err } = await carnet(['migration', 'wait', MIGRATION], broker.configHome, { interrupt: interrupt.signal });
    expect([exit, err.includes('DETACHED')]).toEqual([4, true]);
  });
});

describe('event follow', () => {
  it('one line an event, only of the type that was asked for; Ctrl-C ends it', async () => {
    const interrupt = new AbortController();
    const text = [1, 2, 3].map((n) => `id: ${n}.0\ndata: ${JSON.stringify(entry(n))}\n\n`).join('');
    broker.script({ 'GET /v1/follow': { text } });
    const { exit, out } = await carnet(
      ['event', 'follow', '--type', 'MigrationIntended', '-c', 'seq,type', '-f', 'value'],
      broker.configHome,
      {
        interrupt: interrupt.signal,
        onOut: (said) => {
          if (said.split('\n').length > 2) interrupt.abort();
        },
      },
    );
    expect([exit, out]).toEqual([0, '1 MigrationIntended\n3 MigrationIntended\n']);
  });
});

describe('time left', () => {
  const at = (doneBytes: number, bytesPerSecond = 100, step = 'receive') => ({
    step,
    doneBytes,
    totalBytes: 1_000,
    bytesPerSecond,
  });

  it('is hidden at first, then smoothed', () => {
    const eta = createEta();
    expect([1, 2, 3, 4].map(() => eta(at(0)))).toEqual([undefined, undefined, undefined, undefined]);
    expect(eta(at(0))).toBe(10);
    expect(eta(at(0, 1_000))).toBe(4);
  });

  it('starts anew with each phase, and never divides by a standstill', () => {
    const eta = createEta();
    for (let i = 0; i < 10; i++) eta(at(0));
    expect(eta(at(0, 100, 'seal'))).toBeUndefined();
    const still = createEta();
    for (let i = 0; i < 10; i++) expect(still(at(0, 0))).toBeUndefined();
  });
});
