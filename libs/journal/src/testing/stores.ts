import type { Store } from '@carnet/store';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { emptyStore, removeTemporaryDirs } from './world.ts';

/** A's store and B's, for all tests of a file: opened once, empty before each. `closeAll` closes what the last test had open over them. */
export function twoStores(open: () => Promise<Store>, closeAll: () => Promise<void>): (i: 0 | 1) => Store {
  let stores: readonly Store[] = [];
  beforeAll(async () => {
    stores = [await open(), await open()];
  }, 120_000);
  afterAll(async () => {
    await closeAll();
    await Promise.all(stores.map((store) => store.close()));
    removeTemporaryDirs();
  });
  beforeEach(async () => {
    await closeAll();
    await Promise.all(stores.map(emptyStore));
  });
  return (i) => {
    const store = stores[i];
    if (store === undefined) throw new Error('no store');
    return store;
  };
}
