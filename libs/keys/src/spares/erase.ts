import type { KeyId } from '@carnet/events';
import type { KeyPorts } from '../ports.ts';
import type { Replaces } from '../records/holding.ts';

/** Of what came in an epoch: keys that are over by the ledger. `given-back`: so is whatever was made to take their places. */
export type KeysOver = {
  readonly epoch: number;
  readonly keys: readonly KeyId[];
  readonly why: 'used' | 'given-back';
};

/** Looks remembered as done, at most; beyond, they are done again. */
const REMEMBERED_MAX = 10_000;

/**
 * Erases spares that no row tells of: of a transaction that was undone before a backup took its rows, and of a key that was destroyed and may
 * have been needed again until its event was durable. Asked with each look at a journey; a second time it costs nothing.
 */
export function openSpareEraser({ spares }: Pick<KeyPorts, 'spares'>) {
  const done = new Set<string>();
  return {
    erase: async (over: readonly KeysOver[]): Promise<void> => {
      const fresh = over.filter((one) => !done.has(textOf(one)));
      if (fresh.length === 0) return;
      await spares.erase((name) => fresh.some((one) => isOver(one, name)));
      if (done.size > REMEMBERED_MAX) done.clear();
      for (const one of fresh) done.add(textOf(one));
    },
    /** Spares were made anew: what is over may have one again. */
    again: (): void => done.clear(),
  };
}

const textOf = ({ epoch, keys, why }: KeysOver): string => `${why} ${epoch} ${keys.join()}`;

function isOver({ epoch, keys, why }: KeysOver, name: Replaces & { readonly replaces?: Replaces }): boolean {
  const came = ({ key, arrival }: Replaces): boolean => arrival === epoch && keys.includes(key);
  return came(name) || (why === 'given-back' && name.replaces !== undefined && came(name.replaces));
}
