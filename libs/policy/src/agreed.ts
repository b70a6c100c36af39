import type { AgreementTerms, Digest, Event, TrustDomain } from '@carnet/events';

/** Terms that both signed: the proposer by its event, the other by accepting that event's very bytes. */
export interface Agreement {
  readonly terms: AgreementTerms;
  readonly proposer: TrustDomain;
  readonly proposal: Digest;
  readonly acceptance: Digest;
}
export interface Proposal {
  readonly terms: AgreementTerms;
  readonly proposer: TrustDomain;
  readonly proposal: Digest;
}
export interface Agreed {
  /** Of the highest version that both signed; absent: none ever. */
  readonly inForce?: Agreement;
  /** Of higher versions, not yet accepted. */
  readonly open: readonly Proposal[];
}

/** A placed event, as far as agreements look at it. Void ones, and those of no known type, say nothing. */
export interface Said {
  readonly digest: Digest;
  readonly event?: Event | undefined;
  readonly voidCode?: string | undefined;
}
/** One word about agreements: a proposal, or an acceptance of one. */
type Word = { readonly by: TrustDomain; readonly seq: number } & (
  | { readonly kind: 'proposal'; readonly proposal: Proposal }
  | { readonly kind: 'acceptance'; readonly of: Proposal; readonly acceptance: Digest }
);

/**
 * What two ledgers say was agreed: a pure function of them, so that both sides and an auditor find the same, and neither a clock nor the
 * order of arrival decides. An acceptance of anything but the other side's proposal counts for nothing: nobody agrees with himself.
 *
 * Versions follow one another: a proposal of any other than the next one counts for nothing. Threats: a peer that takes the last number
 * there is, and one that waits which of two crossed proposals suits it. So of proposals of one version those of the CSP whose name sorts
 * first count, unless it accepted the other's before it proposed: an order that its own ledger has fixed.
 */
export function agreedIn(events: readonly Said[]): Agreed {
  const { signed, open } = signedIn(events);
  const inForce = signed.at(-1);
  return { open, ...(inForce === undefined ? {} : { inForce }) };
}

/** As `agreedIn`, with all that was ever in force, oldest first. */
export function signedIn(events: readonly Said[]): { readonly signed: readonly Agreement[]; readonly open: readonly Proposal[] } {
  const words = wordsIn(events);
  const signed: Agreement[] = [];
  for (;;) {
    const { counting, accepted } = negotiation(words, signed.length + 1);
    if (accepted === undefined) return { signed, open: counting };
    signed.push(accepted);
  }
}

function wordsIn(events: readonly Said[]): readonly Word[] {
  const valid = events.flatMap(({ digest, event, voidCode }) =>
    voidCode === undefined && event !== undefined ? [{ digest, event }] : [],
  );
  const proposals = new Map(
    valid.flatMap(({ digest, event }) =>
      event.type === 'AgreementProposed'
        ? [[digest, { terms: event.data.terms, proposer: event.publisher, proposal: digest }] as const]
        : [],
    ),
  );
  return valid
    .flatMap(({ digest, event }): readonly Word[] => {
      const said = { by: event.publisher, seq: Number(event.seq) };
      const own = proposals.get(digest);
      if (own !== undefined) return [{ ...said, kind: 'proposal', proposal: own }];
      const of = event.type === 'AgreementAccepted' ? proposals.get(event.data.proposal) : undefined;
      return of === undefined || of.proposer === event.publisher ? [] : [{ ...said, kind: 'acceptance', of, acceptance: digest }];
    })
    .toSorted((one, other) => one.seq - other.seq);
}

/** Of one version: the proposals that count, and what was agreed. Only orders within one ledger decide. */
function negotiation(
  words: readonly Word[],
  version: number,
): { readonly counting: readonly Proposal[]; readonly accepted?: Agreement } {
  const about = words.filter((word) => (word.kind === 'proposal' ? word.proposal : word.of).terms.version === version);
  const [first] = [
    ...new Set(about.flatMap((word) => [word.by, ...(word.kind === 'acceptance' ? [word.of.proposer] : [])])),
  ].toSorted();
  const ledgerOf = (csp: TrustDomain | undefined) => about.filter(({ by }) => by === csp);
  const [opening] = ledgerOf(first);
  if (opening === undefined) return { counting: [] };
  // It accepted the other's before it proposed anything itself.
  if (opening.kind === 'acceptance')
    return { counting: [opening.of], accepted: { ...opening.of, acceptance: opening.acceptance } };
  const counting = ledgerOf(first).flatMap((word) => (word.kind === 'proposal' ? word.proposal : []));
  const [acceptance] = about.flatMap((word) => (word.kind === 'acceptance' && word.of.proposer === first ? word : []));
  return acceptance === undefined
    ? { counting }
    : { counting, accepted: { ...acceptance.of, acceptance: acceptance.acceptance } };
}
