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
    expect(await views.get(whole.migration)).toEqual(whole);
    expect(await views.get(migrationId.parse('01932c09-0000-7000-8000-000000000000'))).toBeUndefined();
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
    expect(await views.get(whole.migration)).toEqual(whole);
    const open = nth(1, {
      ended: false,
      outcome: 'open',
      phase: 'sealed',
      updatedAt: timestamp.parse('2026-11-23T10:05:00.000Z'),
    });
    await views.record([open]);
    await views.record([{ ...open, phase: 'ready', updatedAt: timestamp.parse('2026-11-23T10:04:59.000Z') }]);
    expect(await views.get(open.migration)).toEqual(open);
  });

  it('keep a liar who takes over an id apart from the migration that has it', async () => {
    await views.record([whole, { ...whole, source: whole.target, target: whole.source, epoch: epoch.parse(2) }]);
    expect(await views.list({ limit: 10 })).toHaveLength(2);
  });

  it('refuse a row that something else wrote', async () => {
    await views.record([whole]);
    await sql`update views_migrations set row = '{"migration":"x"}'`.execute(store.db);
    await expect(views.get(whole.migration)).rejects.toThrow();
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
