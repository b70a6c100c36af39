import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { eventually, type SoftHsmToken, scratch, softhsmToken } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { diskKeysOf, moveDone } from './harness/disk-keys.ts';
import { rowsOf } from './harness/ledger-db.ts';
import { createVm, must } from './harness/moves.ts';

type Listed = {
  readonly items: readonly { readonly type: string; readonly event?: { readonly data: { readonly kem?: string } } }[];
};
/** As the ledger has it. */
async function kemOfOffer({ api }: Cloud, migration: string): Promise<string | undefined> {
  const { items } = must(await api.get<Listed>(`/v1/events?migration=${migration}`));
  return items.find(({ type }) => type === 'MigrationOffered')?.event?.data.kem;
}

describe('from a sealed file to a PKCS#11 token', () => {
  let token: SoftHsmToken;
  let clouds: Clouds;
  beforeAll(async () => {
    token = softhsmToken({ dir: join(scratch('keysh'), 'token'), label: `t-${randomBytes(4).toString('hex')}` });
    clouds = await startClouds({
      // What comes to B is sealed to a key in its token, and A lets keys go by that only; what comes to A is sealed to a hybrid key.
      broker: (text, { key }) =>
        `${text}\n[profile]\n${key === 'a' ? 'leaving = ["hsm"]' : 'arriving = "hsm"\nleaving = ["hybrid"]'}\n`,
      keys: ({ key }) =>
        key === 'a'
          ? undefined
          : `[keys]
backend = "pkcs11"
module = "${token.module}"
token = "${token.label}"
pinFile = "${token.pinFile}"
environment = { SOFTHSM2_CONF = "${token.environment['SOFTHSM2_CONF']}" }
`,
    });
  });
  afterAll(async () => {
    await clouds?.stop();
  });

  it('the key is held under a root that the token made itself, and came by a key in the token', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    expect(await kemOfOffer(a, await moveDone(clouds, a, b, vm))).toBe('0x0010');
    expect(await diskKeysOf(a, vm)).toMatchObject([{ state: 'destroyed', wrapped: null }]);
    expect(await diskKeysOf(b, vm)).toMatchObject([{ state: 'active', secret: null, wrapped: expect.any(String) }]);
    // The private key has ended in the row with the import, and a moment later in the token.
    await eventually('a token without the private key', async () => {
      const rows = await rowsOf<{ readonly private_key: string | null; readonly token_key: string | null }>(
        b.database,
        'select private_key, token_key from keys_imports',
      );
      return rows.length === 1 && rows.every((row) => row.private_key === null && row.token_key === null) ? true : undefined;
    });
    expect(await kemOfOffer(b, await moveDone(clouds, b, a, vm))).toBe('0x647a');
    expect((await diskKeysOf(a, vm)).map(({ state }) => state).toSorted()).toEqual(['active', 'destroyed']);
  });
});
