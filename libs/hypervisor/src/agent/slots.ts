/** Places for work: whoever finds none waits in line. `leave` hands a place over, so no newcomer slips in between. */
export type Slots = { enter(): Promise<void>; leave(): void };

export function slots(places: number): Slots {
  const waiting: (() => void)[] = [];
  let taken = 0;
  return {
    enter: async () => {
      if (taken < places) taken += 1;
      else await new Promise<void>((resolve) => void waiting.push(resolve));
    },
    leave: () => {
      const next = waiting.shift();
      if (next === undefined) taken -= 1;
      else next();
    },
  };
}
