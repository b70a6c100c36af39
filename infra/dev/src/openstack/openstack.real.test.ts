import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runAs } from '../identity.ts';
import { findLeftovers } from '../leftovers.ts';
import { stopEverything } from '../registry.ts';
import { scratch } from '../scratch.ts';
import { startBarbican } from './barbican.ts';
import { startKeystone } from './keystone.ts';
import { softhsmToken } from './softhsm.ts';

const uidOf = (pid: number): number => Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

it('Keystone and Barbican run unprivileged on loopback, survive a restart, and leave nothing', async () => {
  const dir = scratch('stack');
  const keystone = await startKeystone({ dir: join(dir, 'keystone') });
  const barbican = await startBarbican({ dir: join(dir, 'barbican'), keystone });
  const token = softhsmToken({ dir: join(dir, 'hsm'), label: 'carnet' });
  for (const { pid, url } of [keystone, barbican]) {
    expect(uidOf(pid)).toBe(runAs().identity.uid);
    expect(new URL(url).hostname).toBe('127.0.0.1');
  }
  const user = await keystone.admin.createUser('u', await keystone.admin.createProject('p'), 'creator');
  const list = async (): Promise<number> => {
    const headers = { 'x-auth-token': await keystone.admin.tokenOf(user) };
    return (await fetch(`${barbican.url}/v1/secrets`, { headers })).status;
  };
  expect(await list()).toBe(200);
  await barbican.kill('SIGKILL');
  await barbican.restart();
  expect(await list()).toBe(200);
  expect(readFileSync(token.pinFile, 'utf8')).toMatch(/^[0-9a-f]{32}$/);
  await stopEverything();
  expect(findLeftovers({ dir })).toEqual([]);
});
