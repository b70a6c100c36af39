import type { Db, Tx } from '@carnet/store';
import type { Refusal, Result } from './result.ts';

/** Rolls back what a refused step may have written before it refused. */
class RefusedInside extends Error {
  override readonly name = 'RefusedInside';
}

/** Whatever transaction `open` opens: `refuse` rolls it back, and the refusal comes out as its value. */
export async function orRefused<T, R>(open: (refuse: (refused: R) => never) => Promise<T>): Promise<T | R> {
  const seen: { refused?: { readonly value: R } } = {};
  try {
    return await open((value) => {
      seen.refused = { value };
      throw new RefusedInside();
    });
  } catch (cause) {
    if (cause instanceof RefusedInside && seen.refused !== undefined) return seen.refused.value;
    throw cause;
  }
}

/** One transaction: all of the step, or the refusal and nothing. */
export const atomically = <T>(db: Db, work: (tx: Tx) => Promise<Result<T>>): Promise<Result<T>> =>
  orRefused<Result<T>, Refusal>((refuse) =>
    db.transaction().execute(async (tx) => {
      const result = await work(tx);
      return result.ok ? result : refuse(result);
    }),
  );
