/** A ledger that refused (quarantined, overloaded) is asked again after this; another replica's step is told then. */
const AGAIN_MS = 30_000;

export interface Looking {
  /** Looks now: something is owed. */
  readonly tell: () => void;
  /** Resolves when no look is under way. */
  readonly stop: () => Promise<void>;
}

/**
 * One look at a time, again when asked meanwhile, and now and then. What is owed stands in the database: a look that fails, or is killed at
 * any point, is repeated and loses nothing.
 *
 * @param failed told of what went wrong; the next look comes in any case
 */
export function lookAgain(work: () => Promise<void>, failed: (cause: unknown) => void): Looking {
  let under: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  const look = (): void => {
    if (stopped) return;
    if (under !== undefined) {
      again = true;
      return;
    }
    again = false;
    under = work()
      .catch(failed)
      .finally(() => {
        under = undefined;
        if (again) look();
      });
  };
  const timer = setInterval(look, AGAIN_MS);
  timer.unref();
  look();
  return {
    tell: look,
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      await under;
    },
  };
}

/** What stands in the way of one peer's news. */
type Told = { readonly ok: true } | { readonly ok: false; readonly code: string };

/**
 * Tells each peer what it is owed, in the order in which it happened: after a refusal nothing later is told to that peer. A peer that was
 * removed from the configuration is told nothing: its ledger is none of ours any more.
 */
export async function tellInOrder<N extends { readonly peer: string }>(
  owed: readonly N[],
  peers: readonly string[],
  tell: (one: N) => Promise<Told>,
  refused: (one: N, code: string) => void,
): Promise<void> {
  const behind = new Set<string>();
  for (const one of owed) {
    if (behind.has(one.peer) || !peers.includes(one.peer)) continue;
    const told = await tell(one);
    if (told.ok) continue;
    behind.add(one.peer);
    refused(one, told.code);
  }
}
