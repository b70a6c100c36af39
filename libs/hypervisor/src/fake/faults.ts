import { HostError, type Setback } from '../codes.ts';

/** Whether an effect fails, and how: not done, or done and unreported. undefined: it succeeds. */
export type Fault = { readonly when: 'before' | 'after'; readonly setback: Setback };
export type FaultPlan = (operation: string) => Fault | undefined;

/** What answers at once and has no effect. */
const IMMEDIATE: ReadonlySet<string | symbol> = new Set([
  'connection',
  'subscribe',
  'dataPath',
  'paths',
  'guest',
  'ran',
  'restartDaemon',
]);

/** The same port, with each asynchronous operation failing as planned. `name`: prefix of operations, as in `hypervisor.save`. */
export function withFaults<P extends object>(name: string, port: P, plan: FaultPlan): P {
  return new Proxy(port, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property);
      if (typeof member !== 'function' || IMMEDIATE.has(property)) return member;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        const fault = plan(`${name}.${String(property)}`);
        if (fault?.when === 'before') throw new HostError(fault.setback);
        const result: unknown = await Reflect.apply(member, target, args);
        if (fault !== undefined) throw new HostError(fault.setback);
        return result;
      };
    },
  });
}
