/**
 * Work that others may ask for as often as they like: it is done at once, then at most once in `everyMs` (counted from its end).
 * Whatever is asked meanwhile is answered by one more time, so nobody who asked goes without.
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
    const rest = (): void => {
      if (standing !== 'stopped') timer = setTimeout(rested, everyMs);
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
