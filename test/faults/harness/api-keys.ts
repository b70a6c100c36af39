import { randomBytes } from 'node:crypto';
import { tenant } from '@carnet/keys';
import type { Role } from '@carnet/policy';
import { openStore } from '@carnet/store';
import { openApiKeys } from '../../../apps/broker/src/users/api-keys.ts';
import type { Cloud } from './cloud.ts';

const silent = { info: () => undefined, warn: () => undefined };

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
