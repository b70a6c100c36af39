import { REWRAP } from './child/operations.ts';
import type { KeyPorts } from './ports.ts';
import { keksOf } from './records/keks.ts';
import { refusal } from './refusal.ts';
import { ok, type Result } from './result.ts';

/** Nothing is erased: should the old root turn up after all, its KEKs still stand in their rows. */
export async function loseKeks(ports: KeyPorts): Promise<Result<number>> {
  const { db } = ports;
  const tenants = await db.selectFrom('keys_keks').select('tenant').distinct().where('lost_at', 'is', null).execute();
  for (const { tenant } of tenants) {
    for (const kek of await keksOf(db, tenant)) {
      const opened = await ports.call(REWRAP, { keks: [kek], deks: [] });
      if (opened.ok) return refusal('ROOT_NOT_LOST', { about: `${tenant} version ${kek.version}` });
      if (opened.code !== 'KEK_UNOPENABLE') return opened;
    }
  }
  const lost = await db.updateTable('keys_keks').set({ lost_at: ports.now() }).where('lost_at', 'is', null).executeTakeFirst();
  return ok(Number(lost.numUpdatedRows));
}
