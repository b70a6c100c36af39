import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { epoch, migrationId, timestamp, trustDomain, vmId } from '@carnet/events';
import { runChanges, type Store } from '@carnet/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openEmptyStore } from '../../store/src/testing.ts';
import { type MigrationRow, rowsOf } from './migration-row.ts';
import { type MigrationViews, openMigrationViews, viewsChanges } from './migration-table.ts';
import { newestOpen } from './testing/example.ts';
import { fold, historyOf } from './testing/history.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-views-'));
let store: Store;
let views: MigrationViews;

beforeAll(async () => {
  store = await openEmptyStore(join(dir, 'db'));
  await runChanges(store, viewsChanges);
  views = openMigrationViews(store);
}, 60_000);
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});
beforeEach(() => sql`delete from views_migrations`.execute(store.db));

const history = historyOf('cold-to-the-end');
const at = (told: number): readonly MigrationRow[] => rowsOf(fold(history.slice(0, told)));
const [whole] = at(history.length);
if (whole === undefined) throw new Error('the history makes no row');
/** The n-th migration, each a minute after the one before. */
const nth = (n: number, changed: Partial<MigrationRow> = {}): MigrationRow => ({
  ...whole,
  migration: migrationId.parse(`01932c0${n}-0000-7000-8000-000000000000`),
  startedAt: timestamp.parse(`2026-11-23T10:0${n}:00.000Z`),
  ...changed,
});

describe('migration views', () => {
  it('give back what was recorded, and nothing for the unknown', async () => {
    await views.record(at(history.length));
    expect(await views.get(whole.migration, whole.source)).toEqual(whole);
    expect(await views.get(migrationId.parse('01932c09-0000-7000-8000-000000000000'), whole.source)).toBeUndefined();
  });

  it('list the newest first, by VM, open or ended, at most so many', async () => {
    const otherVm = vmId.parse('csp-b.example/9b4e28ba-2fa1-41d2-883f-0016d3cca427');
    await views.record([nth(1), nth(3, { ended: false, outcome: 'open' }), nth(2, { vm: otherVm })]);
    const listed = async (filter: Parameters<MigrationViews['list']>[0]) =>
      (await views.list(filter)).map((row) => row.migration.slice(7, 8));
    expect(await listed({ limit: 10 })).toEqual(['3', '2', '1']);
    expect(await listed({ limit: 2 })).toEqual(['3', '2']);
    expect(await listed({ limit: 10, open: true })).toEqual(['3']);
    expect(await listed({ limit: 10, open: false })).toEqual(['2', '1']);
    expect(await listed({ limit: 10, vm: otherVm })).toEqual(['2']);
  });

  it('follow the fold, event by event', async () => {
    for (let told = 1; told <= history.length; told++) {
      await views.record(at(told));
      expect(await views.list({ limit: 10 })).toEqual(at(told));
    }
  });

  it('are written only where something changed', async () => {
    const versions = async () =>
      (await sql<{ readonly xmin: string }>`select xmin::text from views_migrations`.execute(store.db)).rows;
    await views.record([nth(1)]);
    const before = await versions();
    await views.record([nth(1)]);
    expect(await versions()).toEqual(before);
    await views.record([nth(1, { phase: 'other' })]);
    expect(await versions()).not.toEqual(before);
  });

  it('count what is open with a peer, by direction, and of what comes what was answered', async () => {
    const open = { ended: false, outcome: 'open' } as const;
    const back = { source: whole.target, target: whole.source };
    const amounts = (n: number) => ({ migrations: n, memoryMiB: n * whole.memoryMiB, diskBytes: n * whole.diskBytes });
    await views.record([
      nth(1, open),
      nth(2, open),
      nth(3),
      nth(4, { ...open, ...back }),
      nth(5, { ...open, ...back, targetPhase: 'idle' }),
    ]);
    expect(await views.countOpen(whole.target, nth(1).migration)).toEqual({ fromPeer: amounts(1), toPeer: amounts(1) });
    expect(await views.countOpen(whole.target, nth(9).migration)).toEqual({ fromPeer: amounts(1), toPeer: amounts(2) });
    expect(await views.countOpen(trustDomain.parse('csp-x.example'), nth(9).migration)).toEqual({
      fromPeer: amounts(0),
      toPeer: amounts(0),
    });
  });

  it('give ours of the two that have one id, and what we took up before what we refused', async () => {
    const [a, b] = [whole.source, whole.target];
    const c = trustDomain.parse('csp-0.example');
    const mirror = { ...whole, source: b, target: a, targetPhase: 'refused' };
    await views.record([mirror, whole, { ...whole, source: c, target: b, targetPhase: 'idle' }]);
    const seen = async (self: typeof a) => (await views.get(whole.migration, self))?.source;
    expect([await seen(a), await seen(b)]).toEqual([a, b]);
    await sql`delete from views_migrations where source = ${b}`.execute(store.db);
    expect(await seen(b)).toBe(a);
  });

  it('find what somebody should look at, those in doubt first, however much a peer leaves open that we refused', async () => {
    const open = { ended: false, outcome: 'open' } as const;
    const back = { source: whole.target, target: whole.source };
    const minute = (n: number) => timestamp.parse(`2026-11-23T11:0${n}:00.000Z`);
    await views.record([
      nth(1, { ...open, phase: 'sealed', updatedAt: minute(2) }),
      nth(2, { ...open, phase: 'sealed', updatedAt: minute(1) }),
      nth(3, { ...open, phase: 'sealed', updatedAt: minute(6) }),
      nth(4, { ...open, phase: 'released', updatedAt: minute(7) }),
      nth(5, { ...open, ...back, phase: 'refused', targetPhase: 'refused', updatedAt: minute(0) }),
      nth(6, { ...open, ...back, phase: 'intended', targetPhase: 'idle', updatedAt: minute(3) }),
      nth(7, { phase: 'released' }),
    ]);
    const found = async (limit: number) =>
      (await views.suspects({ self: whole.source, phases: ['released', 'imported'], unchangedSince: minute(5), limit })).map(
        (row) => row.migration.slice(7, 8),
      );
    expect(await found(10)).toEqual(['4', '2', '1', '6']);
    expect(await found(1)).toEqual(['4']);
  });

  it('tell what is taken up with a peer, and not what it merely asks for', async () => {
    const open = { ended: false, outcome: 'open' } as const;
    const back = { source: whole.target, target: whole.source };
    await views.record([
      nth(1, open),
      nth(2, { ...open, ...back, targetPhase: 'offered' }),
      nth(3, { ...open, ...back, targetPhase: 'idle' }),
      nth(4, { ...open, ...back, targetPhase: 'refused' }),
      nth(5, { ...open, target: trustDomain.parse('csp-c.example') }),
      nth(6),
    ]);
    const taken = await views.takenUpWith(whole.target, whole.source, 10);
    expect(taken.map((row) => row.migration.slice(7, 8)).toSorted()).toEqual(['1', '2']);
  });

  it('count the offers that a peer leaves unanswered', async () => {
    const open = { ended: false, outcome: 'open', targetPhase: 'offered' } as const;
    await views.record([
      nth(1, { ...open, sourcePhase: 'intended' }),
      nth(2, { ...open, sourcePhase: 'agreed' }),
      nth(3, { ...open, sourcePhase: 'intended', targetPhase: 'idle' }),
      nth(4, { ...open, sourcePhase: 'intended', ended: true, outcome: 'withdrawn' }),
    ]);
    expect([await views.countUnanswered(whole.source), await views.countUnanswered(whole.target)]).toEqual([1, 0]);
  });

  it('are never set back by a replica that has folded less', async () => {
    await views.record(at(history.length));
    await views.record(at(history.length - 1));
    expect(await views.get(whole.migration, whole.source)).toEqual(whole);
    const open = nth(1, {
      ended: false,
      outcome: 'open',
      phase: 'sealed',
      updatedAt: timestamp.parse('2026-11-23T10:05:00.000Z'),
    });
    await views.record([open]);
    await views.record([{ ...open, phase: 'ready', updatedAt: timestamp.parse('2026-11-23T10:04:59.000Z') }]);
    expect(await views.get(open.migration, whole.source)).toEqual(open);
  });

  it('keep a liar who takes over an id apart from the migration that has it', async () => {
    await views.record([whole, { ...whole, source: whole.target, target: whole.source, epoch: epoch.parse(2) }]);
    expect(await views.list({ limit: 10 })).toHaveLength(2);
  });

  it('refuse a row that something else wrote', async () => {
    await views.record([whole]);
    await sql`update views_migrations set row = '{"migration":"x"}'`.execute(store.db);
    await expect(views.get(whole.migration, whole.source)).rejects.toThrow();
  });
});

describe('README', () => {
  it('has the example that runs here', async () => {
    const example = readFileSync(join(import.meta.dirname, 'testing/example.ts'), 'utf8').replace(
      /'\.\.\/(index)\.ts'/,
      "'@carnet/views'",
    );
    const page = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
    expect(/```ts\n([\s\S]*?)```/.exec(page)?.[1]).toBe(example);
    const open = rowsOf(fold(history.slice(0, 5)))[0];
    expect((await newestOpen(store, [fold(history.slice(0, 5))]))?.phase).toBe(open?.phase);
  });
});
