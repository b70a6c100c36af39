import type { TrustDomain } from '@carnet/events';
import { HEAD_EVERY_MS } from '../../../libs/journal/src/limits.ts';
import type { Csp } from './csp.ts';
import type { Violation } from './violation.ts';

/** A head comes every half minute, and twice as long is silence: whoever has not heard by then is alarmed. */
export const NOTICED_MS_MAX = 2 * HEAD_EVERY_MS;

const of = (publisher: TrustDomain, audience: TrustDomain): string => `${publisher} to ${audience}`;

/**
 * I7: what is withheld is noticed. Once nothing hinders anybody any more, each knows within a bound how far the ledgers go that were told to it,
 * whatever became of the events: it has them, or its peer's signed head says that there are more.
 */
export function createNoticed() {
  const told = new Map<string, number>();
  let due: { readonly atMs: number; readonly sinceMs: number; readonly ends: ReadonlyMap<string, number> } | undefined;
  return {
    told: (publisher: TrustDomain, audience: TrustDomain, seq: number): void => {
      const name = of(publisher, audience);
      told.set(name, Math.max(told.get(name) ?? 0, seq));
    },
    /** From now on all is well. */
    calm: (elapsedMs: number, nowMs: number): void => {
      due = { atMs: elapsedMs + NOTICED_MS_MAX, sinceMs: nowMs, ends: new Map(told) };
    },
    /** But for this, which hinders everybody until `untilMs`, of simulated time; `nowMs`: the date of then. */
    hindered: (untilMs: number, nowMs: number): void => {
      if (due !== undefined) due = { ...due, atMs: untilMs + NOTICED_MS_MAX, sinceMs: nowMs };
    },
    isDue: (elapsedMs: number): boolean => due !== undefined && elapsedMs >= due.atMs,
    unnoticed: (csps: readonly Csp[]): Violation | undefined => {
      const { ends = new Map<string, number>(), sinceMs = 0 } = due ?? {};
      due = undefined;
      for (const audience of csps)
        for (const publisher of csps) {
          const end = ends.get(of(publisher.domain, audience.domain)) ?? 0;
          if (end === 0 || publisher === audience) continue;
          const text = hasNotNoticed(publisher, audience, end, sinceMs);
          if (text !== undefined) return { rule: 'I7 withheld and unnoticed', text };
        }
      return undefined;
    },
  };
}

function hasNotNoticed(publisher: Csp, { domain, database }: Csp, end: number, sinceMs: number): string | undefined {
  const [peer] = database.rows('select heard_at, own_seq from peers where peer = ?', publisher.domain);
  const [ledger] = database.rows('select head_seq from ledgers where publisher = ? and audience = ?', publisher.domain, domain);
  const seconds = NOTICED_MS_MAX / 1_000;
  const known = Math.max(Number(peer?.['own_seq'] ?? 0), Number(ledger?.['head_seq'] ?? 0));
  if (known < end && publisher.restores === 0)
    return `${publisher.domain} told ${domain} ${end} events, and ${seconds} s later it knows of ${known}`;
  const heardAt = peer?.['heard_at'];
  if (typeof heardAt === 'string' && Date.parse(heardAt) >= sinceMs) return undefined;
  return `${domain} has not heard a signed word of ${publisher.domain} for ${seconds} s`;
}
