import { AGREEMENT_EVENTS_MAX, CLOCK_SKEW_MS_MAX, type Digest, type Event, type MigrationEvent } from '@carnet/events';
import { type Agreement, moveFault, type Said, signedIn, type TermsFault } from '@carnet/policy';
import type { MigrationState } from '@carnet/saga';
import type { Finding } from '../report.ts';
import type { Findings } from './findings.ts';
import type { PlacedEvent } from './replay.ts';

/** Where a placed event stands: its own position, and how far its publisher has cited the other ledger up to it. */
export type Standing = Pick<Finding, 'ledger' | 'seq'> & { readonly digest: Digest; readonly seen: number };
type Move = Standing & { readonly m: MigrationState; readonly at: MigrationEvent };
type Word = Said & { readonly event: Event };

/** Whether what each side of a pair began is within the terms that it had signed and knew of. */
export type Agreements = {
  /** Each placed event, void ones among them. */
  readonly note: (placed: PlacedEvent) => void;
  /** An intent or offer that counts. */
  readonly began: (move: Move) => void;
  /** When both ledgers were read: which version a CSP may have known is only then plain. */
  readonly judge: (findings: Findings) => void;
};

const AGREEMENT_TYPES: ReadonlySet<string> = new Set(['AgreementProposed', 'AgreementAccepted'] satisfies Event['type'][]);

export function openAgreements(): Agreements {
  const words: Word[] = [];
  const moves: Move[] = [];
  /** Words of each publisher so far. */
  const said = new Map<string, number>();
  return {
    note: ({ digest, payload: { publisher, type }, event, voidCode }) => {
      if (!AGREEMENT_TYPES.has(type)) return;
      const count = (said.get(publisher) ?? 0) + 1;
      said.set(publisher, count);
      // As the brokers' journals read them. Threat: a word beyond, which no broker knows of, would convict who kept to the terms that it knows.
      if (event !== undefined && voidCode === undefined && count <= AGREEMENT_EVENTS_MAX) words.push({ digest, event });
    },
    began: (move) => {
      moves.push(move);
    },
    judge: (findings) => {
      const { signed } = signedIn(words);
      if (signed.length === 0) return;
      const acceptances = new Map(words.map(({ digest, event }) => [digest, event]));
      for (const move of moves) {
        const fault = faultOf(move, signed, (agreement) => acceptances.get(agreement.acceptance));
        if (fault !== undefined) findings.violate(finding(move, fault));
      }
    },
  };
}

const finding = ({ ledger, seq, digest, m, at }: Move, { code, text }: TermsFault): Finding => ({
  ledger,
  seq,
  digest,
  migration: m.id,
  code,
  text: `${at.type} of ${at.publisher}: ${text}`,
});

/**
 * A version binds who must have known it. It may have known a later one without citing it: so a move is at fault only if none, from the last
 * version that it must have known, allows it.
 */
function faultOf(
  move: Move,
  signed: readonly Agreement[],
  acceptanceOf: (agreement: Agreement) => Event | undefined,
): TermsFault | undefined {
  const first = signed.findLastIndex((agreement) => {
    const acceptance = acceptanceOf(agreement);
    return acceptance !== undefined && mustKnow(move, acceptance);
  });
  if (first === -1) return undefined;
  const faults = signed.slice(first).map(({ terms }) => faultUnder(terms, move));
  return faults.every((fault) => fault !== undefined) ? faults[0] : undefined;
}

/** What was signed a moment before may have come between a broker's look at the terms and its signature. */
function mustKnow({ ledger, seq, seen, at }: Move, acceptance: Event): boolean {
  const position = Number(acceptance.seq);
  const isPlacedBefore = acceptance.publisher === ledger.publisher ? position < seq : position <= seen;
  return isPlacedBefore && Date.parse(acceptance.time) + CLOCK_SKEW_MS_MAX < Date.parse(at.time);
}

function faultUnder(terms: Agreement['terms'], { m, at }: Move): TermsFault | undefined {
  const mode = m.facts.MigrationIntended?.data.mode;
  if (mode === undefined) return undefined;
  const move = { mode, ...(at.type === 'MigrationOffered' ? { kem: at.data.kem } : {}) };
  const atMs = Date.parse(at.time);
  const endMs = Date.parse(terms.notAfter);
  // The broker looked before it signed: what it signed a moment after the end was within the terms when it looked.
  return moveFault(terms, move, atMs < endMs + CLOCK_SKEW_MS_MAX ? Math.min(atMs, endMs - 1) : atMs);
}
