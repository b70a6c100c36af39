import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { hostName, keyId, timestamp, vmId } from '@carnet/events';
import { createHostKeyPair, openForHost, openKeyManager, type Result } from '@carnet/keys';
import { openStore } from '@carnet/store';
import { expect } from 'vitest';
import { HOST } from '../../../infra/dev/src/clouds/layout.ts';
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

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };

/** A key in the clear, the only way there is: sealed by its key manager to a host's key, which the test holds. */
export async function dekAtHost({ paths, plan, database }: Cloud, { vm }: Vm, key: string): Promise<Result<Uint8Array>> {
  const store = await openStore({ url: database.url, applicationName: 'disk-keys', log: silent });
  const opened = await openKeyManager({
    store,
    root: { kind: 'file', path: paths.keyRoot, unlock: { kind: 'file', path: paths.passphrase } },
    spareDir: join(paths.brokerState, 'spares'),
    domain: plan.domain,
    actor: `spiffe://${plan.domain}/broker`,
    now: () => timestamp.parse(new Date().toISOString()),
    random: randomBytes,
  });
  if (!opened.ok) throw new Error(opened.code);
  const pair = await createHostKeyPair();
  const context = { domain: plan.domain, host: hostName.parse(HOST), vm: vmId.parse(vm), epoch: 0, purpose: 'run' } as const;
  const keys = [{ key: keyId.parse(key), version: 1 }];
  const grant = { principal: `spiffe://${plan.domain}/operator`, reason: 'VM_START' } as const;
  const sealed = await opened.value.sealForHost({ context, keys, publicKey: pair.publicKey, grant });
  opened.value.close();
  await store.close();
  if (!sealed.ok) return sealed;
  const deks = await openForHost(pair.privateKey, context, sealed.value);
  if (!deks.ok || deks.value[0] === undefined) throw new Error('a host opens what was sealed to it');
  return { ok: true, value: deks.value[0].dek };
}
