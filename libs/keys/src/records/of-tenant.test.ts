import { artifactId, type KeyId, type Timestamp, timestamp, vmId } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inlineProcess, must, openSide, type Side } from '../testing/two-sides.ts';
import { tenant } from '../vault/hierarchy.ts';
import { updateHeld } from './holding.ts';
import { inTransaction } from './tables.ts';

const [SHOP, BANK] = [tenant.parse('shop'), tenant.parse('bank')];
const VM = vmId.parse('csp-a.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427');
let side: Side;
let nowMs = Date.parse('2026-11-23T10:00:00.000Z');
const now = (): Timestamp => timestamp.parse(new Date(nowMs).toISOString());
const shop: KeyId[] = [];
let bank: KeyId;

async function make(of: typeof SHOP): Promise<KeyId> {
  nowMs += 1_000;
  const artifact = artifactId.parse(crypto.randomUUID());
  const wanted = { tenant: of, vm: VM, artifact, kind: 'disk', derivation: 'luks-passphrase-hex', capacityBytes: 1 } as const;
  const made = must(await side.keys.createDek({ ...wanted, reason: 'a test' }));
  return must(await side.store.db.transaction().execute((tx) => made.record(tx))).key;
}

beforeAll(async () => {
  side = await openSide({ process: inlineProcess(), now });
  for (let i = 0; i < 3; i += 1) shop.push(await make(SHOP));
  bank = await make(BANK);
});
afterAll(() => side.close());

const page = async (of: typeof SHOP, offset: number, limit: number, key?: KeyId) => {
  const { keys, total } = await side.keys.pageOfTenant({ tenant: of, offset, limit, ...(key === undefined ? {} : { key }) });
  return { keys: keys.map((record) => record.key), total };
};

describe("a tenant's keys", () => {
  it('come oldest first, page by page, and are counted', async () => {
    expect(await page(SHOP, 0, 2)).toEqual({ keys: shop.slice(0, 2), total: 3 });
    expect(await page(SHOP, 2, 2)).toEqual({ keys: shop.slice(2), total: 3 });
    expect(await page(SHOP, 9, 2)).toEqual({ keys: [], total: 3 });
  });

  it("are not another tenant's, even when asked for by id", async () => {
    expect(await page(BANK, 0, 10)).toEqual({ keys: [bank], total: 1 });
    expect(await page(SHOP, 0, 10, bank)).toEqual({ keys: [], total: 0 });
    expect(await page(tenant.parse('nobody'), 0, 10)).toEqual({ keys: [], total: 0 });
  });

  it('have their consumers, and since when', async () => {
    const [first] = shop;
    if (first === undefined) throw new Error('made above');
    expect(await side.keys.consumersSince(first)).toEqual([{ consumer: `vm:${VM}`, since: '2026-11-23T10:00:01.000Z' }]);
  });

  it('are there once, as they are held now', async () => {
    const [first] = shop;
    const [record] = (await side.keys.pageOfTenant({ tenant: SHOP, offset: 0, limit: 1 })).keys;
    if (first === undefined || record === undefined) throw new Error('made above');
    const again = (columns: object) =>
      side.store.db.transaction().execute(async (tx) => {
        const row = await inTransaction(tx)
          .selectFrom('keys_holdings')
          .selectAll()
          .where('key', '=', first)
          .executeTakeFirstOrThrow();
        await inTransaction(tx)
          .insertInto('keys_holdings')
          .values({ ...row, ...columns })
          .execute();
      });
    await again({ arrival: 2, state: 'suspended' });
    await again({ version: 2, arrival: 0 });
    const { keys, total } = await side.keys.pageOfTenant({ tenant: SHOP, offset: 0, limit: 10 });
    expect([keys.filter(({ key }) => key === first).map(({ version, arrival }) => [version, arrival]), total]).toEqual([
      [[2, 0]],
      3,
    ]);
  });

  it('are gone when they are destroyed', async () => {
    const [record] = (await side.keys.pageOfTenant({ tenant: BANK, offset: 0, limit: 1 })).keys;
    if (record === undefined) throw new Error('made above');
    await side.store.db.transaction().execute((tx) => updateHeld(inTransaction(tx), record, { state: 'destroyed' }));
    expect(await page(BANK, 0, 10)).toEqual({ keys: [], total: 0 });
  });
});
