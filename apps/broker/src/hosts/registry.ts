import type { Hello } from '@carnet/hypervisor';

/** A host that has said nothing for this long counts as down: three hellos missed. */
export const SILENCE_MS_MAX = 30_000;

/** After a hail, hosts have this long to be heard, ms: a hello comes every 10 s even from an agent that missed the hail. */
export const HAILED_MS_MAX = 12_000;

/** What hosts last said of themselves. Memory only: a hello every 10 s rebuilds it. */
export interface HostRegistry {
  /** A hello, or a part of one: those of one run of an agent and one time are one hello. */
  readonly heard: (hello: Hello, atMs: number) => void;
  readonly hello: (host: string) => Hello | undefined;
  readonly heardAtMs: (host: string) => number | undefined;
  readonly isUp: (host: string) => boolean;
  /** All hosts were asked for a hello: at the start, and when the bus is back. What was heard before is of before. */
  readonly hailed: (atMs: number) => void;
  /** Whether each host was heard since, or had its time: until then a host that is not up may be about to say that it is. */
  readonly isSettled: () => boolean;
}

/** What is said again counts once: a recording of a part adds nothing. */
const joined = (before: Hello, part: Hello): Hello => ({
  ...part,
  vms: [...new Map([...before.vms, ...part.vms].map((one) => [one.vm, one])).values()],
  secretsMissing: [...new Map([...before.secretsMissing, ...part.secretsMissing].map((one) => [one.vm, one])).values()],
});

export function createHostRegistry(hosts: readonly string[], nowMs: () => number): HostRegistry {
  const known = new Map<string, { readonly hello: Hello; readonly atMs: number }>();
  let hailedMs = nowMs();
  return {
    hailed: (atMs) => {
      hailedMs = atMs;
    },
    isSettled: () => nowMs() - hailedMs >= HAILED_MS_MAX || hosts.every((host) => (known.get(host)?.atMs ?? -1) >= hailedMs),
    heard: (hello, atMs) => {
      const before = known.get(hello.host)?.hello;
      const isFurtherPart = before?.agent === hello.agent && before.time === hello.time;
      known.set(hello.host, { hello: isFurtherPart ? joined(before, hello) : hello, atMs });
    },
    hello: (host) => known.get(host)?.hello,
    heardAtMs: (host) => known.get(host)?.atMs,
    isUp: (host) => {
      const entry = known.get(host);
      return entry !== undefined && nowMs() - entry.atMs < SILENCE_MS_MAX;
    },
  };
}
