import type { KeyPorts } from '../ports.ts';
import { change, type Mark } from '../records/history.ts';
import type { KeyRecord } from '../records/holding.ts';
import { destructionOf } from '../records/states.ts';
import type { KeysTx } from '../records/tables.ts';
import type { Result } from '../result.ts';
import { isOf } from './spares.ts';

/**
 * The end of a holding, and of its spare. The spare goes before the row is committed: a receipt that says "destroyed" must be true of both,
 * and whoever destroys a key does so again after a crash; `settleSpares` makes a new spare if it never does.
 */
export async function destroy(
  ports: Pick<KeyPorts, 'spares'>,
  db: KeysTx,
  record: KeyRecord,
  mark: Mark,
): Promise<Result<KeyRecord>> {
  const destroyed = await change(db, record, destructionOf(record.state), mark);
  if (destroyed.ok) await ports.spares.erase(isOf(record));
  return destroyed;
}
