import { join } from 'node:path';
import { type Barbican, type Keystone, scratch, softhsmToken, startBarbican, startKeystone } from '@carnet/dev';
import { afterAll, beforeAll } from 'vitest';
import { type BackendUnderTest, keyManagerContract } from '../testing/contract-suite.ts';
import { inBarbican, inToken, member, openBarbican } from '../testing/managers.ts';

let dir: string;
let keystone: Keystone;
let open: Barbican;
let guarded: Barbican;
beforeAll(async () => {
  dir = scratch('keys');
  keystone = await startKeystone({ dir: join(dir, 'keystone') });
  open = await startBarbican({ dir: join(dir, 'open') });
  guarded = await startBarbican({ dir: join(dir, 'guarded'), keystone });
});
afterAll(async () => {
  for (const part of [guarded, open, keystone]) await part?.stop();
});

const inFile = (): BackendUnderTest => ({ options: {}, copiesOutside: async () => 0 });
const token = (name: string): Promise<BackendUnderTest> => inToken(softhsmToken({ dir: join(dir, name), label: name }));

keyManagerContract('sealed file to sealed file', async () => ({ a: inFile(), b: inFile() }));
keyManagerContract('sealed file to PKCS#11 token', async () => ({ a: inFile(), b: await token('hsm1') }));
keyManagerContract('PKCS#11 token to Barbican without Keystone', async () => ({
  a: await token('hsm2'),
  b: openBarbican(open, 'project-b'),
}));
keyManagerContract('sealed file to Barbican, in a project of Keystone', async () => ({
  a: inFile(),
  b: inBarbican(guarded, keystone, await member(keystone, join(dir, 'b'))),
}));
