import type { TrustDomain } from '@carnet/events';
import { runChanges } from '@carnet/store';
import { inventoryChanges } from '../../../apps/broker/src/inventory.ts';
import { settledChanges } from '../../../apps/broker/src/settled-table.ts';
import { journalChanges } from '../../../libs/journal/src/tables.ts';
import type { Custody } from './custody.ts';
import { type Database, openDatabase } from './database.ts';
import { DOMAINS, type Identity, makeIdentities } from './identities.ts';
import { keyModel } from './keys.ts';
import { realKeys } from './real-keys.ts';

/** What all histories of a process share: certificates, roots of keys, and databases that are emptied for each. */
export type Federation = {
  readonly identities: ReadonlyMap<TrustDomain, Identity>;
  readonly custody: Custody;
  /** As a new one: its tables are there, and nothing in them but which changes were made. */
  readonly databaseOf: (domain: TrustDomain) => Database;
};

export type KeysKind = Custody['kind'];

async function preparedDatabase(custody: Custody): Promise<() => Database> {
  const database = openDatabase();
  const db = database.connect(
    async () => undefined,
    () => undefined,
  );
  const all = [inventoryChanges, settledChanges, journalChanges, ...custody.changes];
  for (const changes of all) await runChanges({ db }, changes);
  // Once more, with nothing left to do: what tables there are is known from here on, in the first history as in every other.
  for (const changes of all) await runChanges({ db }, changes);
  const empty = database.snapshot();
  return () => {
    database.restore(empty);
    return database;
  };
}

export async function openFederation(kind: KeysKind): Promise<Federation> {
  const custody = kind === 'real' ? await realKeys() : keyModel;
  const databases = new Map<TrustDomain, () => Database>();
  for (const domain of DOMAINS) databases.set(domain, await preparedDatabase(custody));
  return {
    identities: await makeIdentities(),
    custody,
    databaseOf: (domain) => {
      const database = databases.get(domain)?.();
      if (database === undefined) throw new Error(`no database of ${domain}`);
      return database;
    },
  };
}
