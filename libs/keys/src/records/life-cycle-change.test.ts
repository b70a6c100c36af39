import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { epoch, trustDomain } from '@carnet/events';
import { runChanges } from '@carnet/store';
import { expect, it } from 'vitest';
import { openEmptyStore } from '../../../store/src/testing.ts';
import { NOT_AFTER, NOW, newMigration, newVm, someDigest } from '../testing/two-sides.ts';
import { KEY_CHANGES } from './changes.ts';
import { sharingsOf } from './handovers.ts';
import { historyOf } from './history.ts';
import { onKeys } from './tables.ts';

it('a database from before gets its histories chained and its hand-overs known', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-change-'));
  const store = await openEmptyStore(join(dir, 'db'));
  try {
    await runChanges(store, KEY_CHANGES.slice(0, 3));
    const db = onKeys(store.db);
    const key = randomUUID();
    const migration = newMigration();
    for (const [position, from_state, to_state] of [
      [1, null, 'pre-activation'],
      [2, 'pre-activation', 'active'],
      [3, 'active', 'suspended'],
    ] as const) {
      const line = { key, version: 1, arrival: 0, position, from_state, to_state, at: NOW, actor: 'x', reason: 'y', cause: null };
      // The columns that the next change adds are not there yet.
      await store.db.$extendTables<{ keys_history: typeof line }>().insertInto('keys_history').values(line).execute();
    }
    const [intent, offer, agreed] = [someDigest(), someDigest(), someDigest()];
    const agreement = {
      migration,
      epoch: epoch.parse(1),
      vm: newVm(),
      source: trustDomain.parse('csp-a.example'),
      target: trustDomain.parse('csp-b.example'),
      intent,
      offer,
      agreed,
      publicKey: Buffer.alloc(1_216).toString('base64'),
      notAfter: NOT_AFTER,
    };
    const deposited = { key, version: 1, artifact: randomUUID(), kind: 'disk', derivation: 'luks-passphrase-hex' };
    const data = {
      offer,
      agreed,
      commit: someDigest(),
      notAfter: NOT_AFTER,
      keys: [{ ...deposited, capacityBytes: 1, enc: 'AAAA', ct: 'AAAA' }],
    };
    await db
      .insertInto('keys_deposits')
      .values({
        migration,
        epoch: 1,
        tenant: 'shop',
        handover: JSON.stringify(agreement),
        context: someDigest(),
        data: JSON.stringify(data),
        kek_version: 1,
        secrets: null,
        state: 'retired',
        deposit: null,
        acknowledged: null,
        release: null,
        changed_at: NOW,
      })
      .execute();
    await runChanges(store, KEY_CHANGES);
    expect(await historyOf(db, { key, version: 1 })).toMatchObject({ chain: 'intact', lines: [{}, {}, { to: 'suspended' }] });
    const asKey = { key, version: 1 } as Parameters<typeof sharingsOf>[1];
    expect(await sharingsOf(db, asKey)).toEqual([{ peer: 'csp-b.example', migration, direction: 'out' }]);
  } finally {
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
