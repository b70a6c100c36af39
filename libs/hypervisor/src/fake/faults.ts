import { HostError, type Setback } from '../codes.ts';

/** How an effect fails: not done, done and unreported, or never answered until its signal aborts it. undefined: it succeeds. */
export type Fault = { readonly when: 'before' | 'after' | 'never'; readonly setback: Setback };
export type FaultPlan = (operation: string) => Fault | undefined;

/** Operations of ports and their fakes that answer at once and have no effect on a host: nothing can come between. */
export const IMMEDIATE: ReadonlySet<string | symbol> = new Set([
  'connection',
  'subscribe',
  'dataPath',
  'paths',
  'link',
  'isLink',
  'guest',
  'ran',
  'restartDaemon',
  'endCopies',
  'losePower',
  'endGuests',
  'secretKeys',
  'shared',
]);

/** The same port, with each asynchronous operation failing as planned. `name`: prefix of operations, as in `hypervisor.save`. */
export function withFaults<P extends object>(name: string, port: P, plan: FaultPlan): P {
  return new Proxy(port, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property);
      if (typeof member !== 'function' || IMMEDIATE.has(property)) return member;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        const fault = plan(`${name}.${String(property)}`);
        if (fault?.when === 'never') await untilAborted(args, fault.setback);
        if (fault?.when === 'before') throw new HostError(fault.setback);
        const result: unknown = await Reflect.apply(member, target, args);
        if (fault !== undefined) throw new HostError(fault.setback);
        return result;
      };
    },
  });
}

const signalIn = (arg: unknown): AbortSignal | undefined => {
  if (arg instanceof AbortSignal) return arg;
  return typeof arg === 'object' && arg !== null && 'signal' in arg && arg.signal instanceof AbortSignal ? arg.signal : undefined;
};

/** Rejects when one of the arguments' signals fires; without any, it is a call that hangs for ever. */
function untilAborted(args: readonly unknown[], setback: Setback): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(new HostError(setback));
  for (const signal of args.flatMap((arg) => signalIn(arg) ?? [])) {
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  }
  return promise;
}
