import { randomBytes, randomUUID } from 'node:crypto';
import { artifactId, type Timestamp, timestamp } from '@carnet/events';
import { openKeyManager, tenant } from '@carnet/keys';
import type { Role } from '@carnet/policy';
import { openStore } from '@carnet/store';
import { openApiKeys } from '../../../apps/broker/src/users/api-keys.ts';
import type { Cloud } from './cloud.ts';

const silent = { info: () => undefined, warn: () => undefined };
const now = (): Timestamp => timestamp.parse(new Date().toISOString());

/** A key of a project of its own, made by a second key manager over one side's database and root. */
export async function keyOfProject({ plan, paths, database }: Cloud, project: string): Promise<string> {
  const store = await openStore({ url: database.url, applicationName: 'test', log: silent });
  const unlock = { kind: 'file', path: paths.passphrase } as const;
  const root = { kind: 'file', path: paths.keyRoot, unlock } as const;
  const actor = `spiffe://${plan.domain}/broker`;
  const opened = await openKeyManager({ store, root, domain: plan.domain, actor, now, random: randomBytes });
  if (!opened.ok) throw new Error(opened.code);
  const keys = opened.value;
  try {
    const made = await keys.createDek({
      tenant: tenant.parse(project),
      artifact: artifactId.parse(randomUUID()),
      kind: 'disk',
      derivation: 'luks-passphrase-hex',
      capacityBytes: 1,
      reason: 'a test',
    });
    if (!made.ok) throw new Error(made.code);
    const recorded = await store.db.transaction().execute((tx) => made.value.record(tx));
    if (!recorded.ok) throw new Error(recorded.code);
    return recorded.value.key;
  } finally {
    keys.close();
    await store.close();
  }
}

/** An API key as an administrator would have it made. */
export async function apiKeyAt(
  { database }: Cloud,
  name: string,
  roles: readonly Exclude<Role, 'administrator'>[],
  project?: string,
): Promise<string> {
  const store = await openStore({ url: database.url, applicationName: 'test', log: silent });
  try {
    const of = project === undefined ? {} : { project: tenant.parse(project) };
    const made = await openApiKeys(store, Date.now, randomBytes).create({ name, roles, days: 1, ...of }, 'a test');
    if (!made.ok) throw new Error(made.code);
    return made.value.apiKey;
  } finally {
    await store.close();
  }
}
