import type { ServiceRefusal } from '../service/result.ts';
import type { Caller } from '../users/caller.ts';
import { JUDGED_FOR_MS, STREAMS_MAX } from './limits.ts';

/** Whoever reads a stream, as often as that is asked: `undefined` while it may go on. */
export type StillAdmitted = () => Promise<ServiceRefusal | undefined>;

/**
 * Judges the request anew when the last judgement is old. Threat: a stream outlives the credential that opened it, for days. A judge
 * that cannot say, such as a Keystone that is away, ends it too: its reader comes back from its cursor.
 */
export function stillAdmitted(judge: () => Promise<Caller | ServiceRefusal>, nowMs: () => number): StillAdmitted {
  let judgedMs = nowMs();
  return async () => {
    if (nowMs() - judgedMs < JUDGED_FOR_MS) return undefined;
    const verdict = await judge();
    judgedMs = nowMs();
    return 'ok' in verdict ? verdict : undefined;
  };
}

/** So many at once of one principal, at one door of one replica. */
export interface AtOnce {
  readonly max: number;
  readonly code: string;
  readonly what: string;
}
export const STREAMS: AtOnce = { max: STREAMS_MAX, code: 'STREAMS_EXCEEDED', what: 'streams open' };

/** What is under way, by principal. */
export interface UnderWay {
  /** Counts one more, or says why not; what it returns ends the counting. */
  readonly enter: (principal: string) => (() => void) | ServiceRefusal;
}

export function underWay({ max, code, what }: AtOnce): UnderWay {
  const open = new Map<string, number>();
  return {
    enter: (principal) => {
      const count = open.get(principal) ?? 0;
      if (count >= max) return { ok: false, code, text: `${principal} has ${count} ${what}, which is the most` };
      open.set(principal, count + 1);
      let left = false;
      return () => {
        if (left) return;
        left = true;
        const now = (open.get(principal) ?? 1) - 1;
        if (now === 0) open.delete(principal);
        else open.set(principal, now);
      };
    },
  };
}
