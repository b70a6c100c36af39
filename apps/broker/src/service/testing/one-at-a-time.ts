import type { AloneWith } from '../../alone.ts';
import type { Quotas } from '../../quotas.ts';

/** Of one name, one at a time; as the database does it for all replicas. */
export function oneAtATime(): AloneWith {
  const held = new Set<string>();
  return async (vm, work) => {
    if (held.has(vm)) return { held: false };
    held.add(vm);
    try {
      return { held: true, value: await work(new AbortController().signal) };
    } finally {
      held.delete(vm);
    }
  };
}

/** Each has its turn at once, and nothing counts. */
export const NO_QUOTAS: Quotas = {
  turn: async (_peer, _direction, work) => ({ held: true, value: await work(new AbortController().signal) }),
  unanswered: async () => 0,
  note: async () => undefined,
};
