/** The agent dies right after the `nth` time (default: the first) that it did this, e.g. `hypervisor.endCopy`. */
export type Crash = { readonly after: string; readonly nth?: number };

/**
 * An agent's life as kill -9 ends it: what it had done is done, and nothing after that happens; no clean-up either. Each port of one
 * agent is wrapped; `dieAt` names the operation that is its last.
 */
export function mortal() {
  const { promise: death, resolve: die } = Promise.withResolvers<undefined>();
  const never = new Promise<never>(() => undefined);
  let crash: Crash | undefined;
  let isDead = false;
  let times = 0;
  const isLast = (operation: string): boolean => {
    if (operation !== crash?.after) return false;
    times += 1;
    return times === (crash.nth ?? 1);
  };
  return {
    /** Settles when it has died. */
    death,
    dieAt: (last: Crash): void => {
      crash = last;
      times = 0;
    },
    over: <P extends object>(name: string, port: P): P =>
      new Proxy(port, {
        get: (target, property) => {
          const member: unknown = Reflect.get(target, property);
          if (typeof member !== 'function') return member;
          return (...args: readonly unknown[]): unknown => {
            if (isDead) return never;
            const result: unknown = Reflect.apply(member, target, args);
            if (!(result instanceof Promise) || !isLast(`${name}.${String(property)}`)) return result;
            return result.then(() => {
              isDead = true;
              die(undefined);
              return never;
            });
          };
        },
      }),
  };
}
