import type { HostName } from '@carnet/events';

/** A host as its last hello and the configuration tell of it. */
export interface Candidate {
  readonly host: HostName;
  readonly isUp: boolean;
  readonly level: number;
  readonly memoryMiBFree: number;
}
export interface Wanted {
  readonly level: number;
  readonly memoryMiB: number;
}

/** Why a host was not taken. `more loaded`: it is admissible, and another has more memory free. */
export type PassedOver = { readonly host: HostName; readonly because: 'down' | 'level too low' | 'no room' | 'more loaded' };

export interface Choice {
  /** `undefined`: no host that is up has the level. */
  readonly host: HostName | undefined;
  readonly memoryMiBFree: number;
  readonly passedOver: readonly PassedOver[];
}

/**
 * The least loaded of the admissible hosts: up, of the level, and with the most free memory. Where none has room, the host with the most is
 * asked all the same: it has the last word when it reserves, and its refusal is the one to report.
 */
export function chooseHost(candidates: readonly Candidate[], wanted: Wanted): Choice {
  const admissible = candidates
    .filter(({ isUp, level }) => isUp && level >= wanted.level)
    .toSorted((a, b) => b.memoryMiBFree - a.memoryMiBFree);
  const [chosen] = admissible;
  return {
    host: chosen?.host,
    memoryMiBFree: chosen?.memoryMiBFree ?? 0,
    passedOver: candidates
      .filter(({ host }) => host !== chosen?.host)
      .map((candidate) => ({ host: candidate.host, because: whyNot(candidate, wanted) })),
  };
}

function whyNot({ isUp, level, memoryMiBFree }: Candidate, wanted: Wanted): PassedOver['because'] {
  if (!isUp) return 'down';
  if (level < wanted.level) return 'level too low';
  return memoryMiBFree < wanted.memoryMiB ? 'no room' : 'more loaded';
}
