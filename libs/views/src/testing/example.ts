import type { Journey } from '@carnet/saga';
import type { Store } from '@carnet/store';
import { type MigrationRow, openMigrationViews, rowsOf } from '../index.ts';

/** After a restart: every journey folded again, its rows written, and what an operator sees first. */
export async function newestOpen(store: Store, journeys: readonly Journey[]): Promise<MigrationRow | undefined> {
  const views = openMigrationViews(store);
  await views.record(journeys.flatMap(rowsOf));
  const [newest] = await views.list({ open: true, limit: 1 });
  return newest;
}
