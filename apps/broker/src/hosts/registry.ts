import type { Hello } from '@carnet/hypervisor';

/** A host that has said nothing for this long counts as down: three hellos missed. */
export const SILENCE_MS_MAX = 30_000;

/** What hosts last said of themselves. Memory only: a hello every 10 s rebuilds it. */
export interface HostRegistry {
  readonly heard: (hello: Hello, atMs: number) => void;
  readonly hello: (host: string) => Hello | undefined;
  readonly heardAtMs: (host: string) => number | undefined;
  readonly isUp: (host: string) => boolean;
}

export function createHostRegistry(nowMs: () => number): HostRegistry {
  const known = new Map<string, { readonly hello: Hello; readonly atMs: number }>();
  return {
    heard: (hello, atMs) => {
      known.set(hello.host, { hello, atMs });
    },
    hello: (host) => known.get(host)?.hello,
    heardAtMs: (host) => known.get(host)?.atMs,
    isUp: (host) => {
      const entry = known.get(host);
      return entry !== undefined && nowMs() - entry.atMs < SILENCE_MS_MAX;
    },
  };
}
