import { useEffect, useState } from 'react';
import type { z } from 'zod';
import { ask, type Refused } from './ask.ts';
import { useLive } from './live.tsx';

/** `failed` beside `value`: what is shown is old, and this is why. */
export interface Resource<T> {
  readonly value: T | undefined;
  readonly failed: Refused | undefined;
}

/**
 * What stands at a path, read again when a ledger grows, when data is live again, and every `everyMs` if given. `schema` must
 * be the same object at each call. `path` undefined: nothing is asked.
 */
export function useResource<S extends z.ZodType>(path: string | undefined, schema: S, everyMs?: number): Resource<z.infer<S>> {
  const { token, version, connection } = useLive();
  const [state, setState] = useState<{ readonly path: string; readonly resource: Resource<z.infer<S>> }>();

  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` and `connection` are what makes it read again
  useEffect(() => {
    if (path === undefined) return undefined;
    const stop = new AbortController();
    const read = async (): Promise<void> => {
      const answer = await ask(path, schema, token, stop.signal);
      if (stop.signal.aborted) return;
      setState((before) => {
        const kept = before?.path === path ? before.resource.value : undefined;
        return { path, resource: answer.ok ? { value: answer.value, failed: undefined } : { value: kept, failed: answer } };
      });
    };
    void read();
    const timer = everyMs === undefined ? undefined : setInterval(() => document.hidden || void read(), everyMs);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [path, schema, token, version, connection, everyMs]);

  return state !== undefined && state.path === path ? state.resource : { value: undefined, failed: undefined };
}
