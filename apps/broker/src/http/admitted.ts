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

/** Streams that are open, by principal. */
export interface OpenStreams {
  /** Counts one more, or says why not; what it returns ends the counting. */
  readonly enter: (principal: string) => (() => void) | ServiceRefusal;
}

export function openStreams(): OpenStreams {
  const open = new Map<string, number>();
  return {
    enter: (principal) => {
      const count = open.get(principal) ?? 0;
      if (count >= STREAMS_MAX)
        return { ok: false, code: 'STREAMS_EXCEEDED', text: `${principal} has ${count} streams open, which is the most` };
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
