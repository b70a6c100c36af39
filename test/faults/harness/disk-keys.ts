import { expect } from 'vitest';
import type { Cloud } from './cloud.ts';
import type { Clouds } from './clouds.ts';
import { rowsOf } from './ledger-db.ts';
import { intend, settled, type Vm } from './moves.ts';

const END_MS_MAX = 90_000;

export type DiskKey = {
  readonly key: string;
  readonly state: string;
  readonly wrapped: string | null;
  readonly secret: string | null;
};
/** The keys of a VM's disks as they lie in one side's database. */
export const diskKeysOf = (cloud: Cloud, { vm }: Vm): Promise<readonly DiskKey[]> =>
  rowsOf<DiskKey>(cloud.database, "select key, state, wrapped, secret from keys_holdings where vm = $1 and kind = 'disk'", [vm]);

/** A whole cold migration between real brokers, to its end. */
export async function moveDone(clouds: Clouds, from: Cloud, to: Cloud, vm: Vm, api = from.api): Promise<string> {
  const migration = await intend(from, to, vm, 'cold', api);
  const row = await settled(clouds, migration, END_MS_MAX);
  expect(row, JSON.stringify(row)).toMatchObject({ ended: true, outcome: 'done' });
  return migration;
}
