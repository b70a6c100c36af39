/** Of our time, at most a tenth goes into such work: a hello of a host with 500 VMs reads a thousand files. */
const RESTS_FOR_EACH_WORK = 9;

/**
 * Work that others may ask for as often as they like: it is done at once, then at most once in `everyMs` (counted from its end), and
 * less often where it takes long. Whatever is asked meanwhile is answered by one more time, so nobody who asked goes without.
 */
export function paced(everyMs: number, work: () => Promise<void>): { ask(): void; stop(): void } {
  let standing: 'idle' | 'resting' | 'asked' | 'stopped' = 'idle';
  let timer: NodeJS.Timeout | undefined;
  const rested = (): void => {
    if (standing === 'asked') begin();
    else if (standing === 'resting') standing = 'idle';
  };
  const begin = (): void => {
    standing = 'resting';
    const begunMs = performance.now();
    const rest = (): void => {
      const restMs = Math.max(everyMs, (performance.now() - begunMs) * RESTS_FOR_EACH_WORK);
      if (standing !== 'stopped') timer = setTimeout(rested, restMs);
    };
    work().then(rest, rest);
  };
  return {
    ask: () => {
      if (standing === 'idle') begin();
      else if (standing === 'resting') standing = 'asked';
    },
    stop: () => {
      standing = 'stopped';
      clearTimeout(timer);
    },
  };
}
