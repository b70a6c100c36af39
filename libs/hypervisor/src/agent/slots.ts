/** Places for work: whoever finds none waits in line. `leave` hands a place over, so no newcomer slips in between. */
export type Slots = {
  /** False: `signal` fired first, and there is no place to leave. */
  enter(signal: AbortSignal): Promise<boolean>;
  leave(): void;
};

export function slots(places: number): Slots {
  const waiting = new Set<() => void>();
  let taken = 0;
  return {
    enter: async (signal) => {
      if (signal.aborted) return false;
      if (taken < places) {
        taken += 1;
        return true;
      }
      return new Promise<boolean>((resolve) => {
        const goes = (): void => {
          signal.removeEventListener('abort', gives);
          resolve(true);
        };
        const gives = (): void => {
          waiting.delete(goes);
          resolve(false);
        };
        waiting.add(goes);
        signal.addEventListener('abort', gives, { once: true });
      });
    },
    leave: () => {
      const [next] = waiting;
      if (next === undefined) {
        taken -= 1;
        return;
      }
      waiting.delete(next);
      next();
    },
  };
}
