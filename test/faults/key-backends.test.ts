import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type SoftHsmToken, scratch, softhsmToken } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { diskKeysOf, moveDone } from './harness/disk-keys.ts';
import { createVm } from './harness/moves.ts';

describe('from a sealed file to a PKCS#11 token', () => {
  let token: SoftHsmToken;
  let clouds: Clouds;
  beforeAll(async () => {
    token = softhsmToken({ dir: join(scratch('keysh'), 'token'), label: `t-${randomBytes(4).toString('hex')}` });
    clouds = await startClouds({
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

  it('the key is held under a root that the token made itself', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    await moveDone(clouds, a, b, vm);
    expect(await diskKeysOf(a, vm)).toMatchObject([{ state: 'destroyed', wrapped: null }]);
    expect(await diskKeysOf(b, vm)).toMatchObject([{ state: 'active', secret: null, wrapped: expect.any(String) }]);
    await moveDone(clouds, b, a, vm);
    expect((await diskKeysOf(a, vm)).map(({ state }) => state).toSorted()).toEqual(['active', 'destroyed']);
  });
});
