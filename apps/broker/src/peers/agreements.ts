import type { AgreementTerms, Digest, HpkeKem, MigrationMode, Reason, TrustDomain } from '@carnet/events';
import type { Journal, StoredEvent } from '@carnet/journal';
import { reasonOf } from '../reason.ts';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';

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

type Said = Pick<StoredEvent, 'digest' | 'event' | 'voidCode'>;
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
  const words = wordsIn(events);
  let inForce: Agreement | undefined;
  for (;;) {
    const version = (inForce?.terms.version ?? 0) + 1;
    const { counting, accepted } = negotiation(words, version);
    if (accepted === undefined) return inForce === undefined ? { open: counting } : { inForce, open: counting };
    inForce = accepted;
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

/** A move as the terms look at it. `kem`: of the offer, where there is one. */
export interface Terms {
  readonly mode: MigrationMode;
  readonly target: TrustDomain;
  readonly kem?: HpkeKem;
}

/** What an agreement calls the KEMs of offers. */
const ALGORITHM_OF: Readonly<Record<HpkeKem, AgreementTerms['algorithms'][number]>> = {
  '0x647a': 'x25519-ml-kem-768',
  '0x0010': 'dhkem-p256',
};

/** What this CSP knows and keeps, against which terms are held. */
export interface Own {
  readonly nowMs: number;
  readonly rollbackWindowSeconds: number;
  /** To which jurisdictions a CSP answers, by this CSP's own policy set. */
  readonly jurisdictionsOf: (csp: TrustDomain) => readonly string[] | undefined;
}

/** Why no migration may begin under these terms now. One that began goes on to its end. */
export function termsFault({ terms }: Pick<Agreement, 'terms'>, move: Terms, own: Own): Reason | undefined {
  const { nowMs, rollbackWindowSeconds } = own;
  if (nowMs < Date.parse(terms.notBefore)) return reasonOf('AGREEMENT_NOT_BEGUN', `the agreement begins at ${terms.notBefore}`);
  // Written so that a time that is no number is refused.
  if (!(nowMs < Date.parse(terms.notAfter))) return reasonOf('AGREEMENT_EXPIRED', `the agreement ended at ${terms.notAfter}`);
  if (!terms.modes.includes(move.mode))
    return reasonOf('MODE_NOT_AGREED', `the agreement allows ${terms.modes.join(', ')}, not ${move.mode}`);
  if (move.kem !== undefined && !terms.algorithms.includes(ALGORITHM_OF[move.kem]))
    return reasonOf('ALGORITHM_NOT_AGREED', `the agreement allows ${terms.algorithms.join(', ')}, not ${ALGORITHM_OF[move.kem]}`);
  if (rollbackWindowSeconds > terms.rollbackWindowSecondsMax)
    return reasonOf(
      'ROLLBACK_WINDOW_TOO_LONG',
      `the agreement allows ${terms.rollbackWindowSecondsMax} s, not ${rollbackWindowSeconds} s`,
    );
  const answersTo = own.jurisdictionsOf(move.target) ?? [];
  // A place of which nothing is known is within no terms.
  if (answersTo.length === 0)
    return reasonOf(
      'JURISDICTION_NOT_AGREED',
      `this CSP's policy set does not say to which jurisdictions ${move.target} answers`,
    );
  const outside = answersTo.filter((one) => !terms.jurisdictions.some((agreed) => agreed === one));
  return outside.length === 0
    ? undefined
    : reasonOf('JURISDICTION_NOT_AGREED', `${move.target} answers to ${outside.join(', ')}, which was not agreed on`);
}

export interface AgreementPorts {
  readonly self: TrustDomain;
  readonly journal: Pick<Journal, 'agreementsWith' | 'append' | 'peers'>;
  readonly nowMs: () => number;
  /** Of this broker's configuration: nothing shorter may be agreed on. */
  readonly rollbackWindowSeconds: number;
  readonly jurisdictionsOf: Own['jurisdictionsOf'];
}
export interface Agreements {
  readonly with: (peer: TrustDomain) => Promise<ServiceResult<Agreed>>;
  /** Absent where the peers have never agreed on terms: then the configuration alone decides. */
  readonly fault: (peer: TrustDomain, move: Terms) => Promise<Reason | undefined>;
  /** @param terms without version: the next one is taken */
  readonly propose: (peer: TrustDomain, terms: Omit<AgreementTerms, 'version'>) => Promise<ServiceResult<Proposal>>;
  readonly accept: (peer: TrustDomain, proposal: Digest) => Promise<ServiceResult<Agreed>>;
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

export function openAgreements(ports: AgreementPorts): Agreements {
  const { self, journal, nowMs, rollbackWindowSeconds, jurisdictionsOf } = ports;
  const agreedWith = async (peer: TrustDomain): Promise<Agreed> => agreedIn(await journal.agreementsWith(peer));
  const unknown = (peer: TrustDomain) =>
    journal.peers.includes(peer) ? undefined : refuse('PEER_UNKNOWN', `${peer} is not configured here`);
  const unfit = (terms: Omit<AgreementTerms, 'version'>): ServiceRefusal | undefined => {
    if (rollbackWindowSeconds > terms.rollbackWindowSecondsMax)
      return refuse('ROLLBACK_WINDOW_TOO_LONG', `this broker keeps a window of ${rollbackWindowSeconds} s: shorten it first`);
    if (nowMs() < Date.parse(terms.notAfter)) return undefined;
    return refuse('AGREEMENT_EXPIRED', `these terms ended at ${terms.notAfter}`);
  };
  return {
    with: async (peer) => unknown(peer) ?? { ok: true, value: await agreedWith(peer) },
    fault: async (peer, move) => {
      const { inForce } = await agreedWith(peer);
      const own = { nowMs: nowMs(), rollbackWindowSeconds, jurisdictionsOf };
      return inForce === undefined ? undefined : termsFault(inForce, move, own);
    },
    propose: async (peer, wanted) => {
      const fault = unknown(peer) ?? unfit(wanted);
      if (fault !== undefined) return fault;
      const { inForce, open } = await agreedWith(peer);
      if (peer < self && open.some(({ proposer }) => proposer === peer))
        return refuse(
          'AGREEMENT_CROSSED',
          `${peer} has proposed this version, and its proposal counts: accept it, or ask for another`,
        );
      const terms = { ...wanted, version: (inForce?.terms.version ?? 0) + 1 };
      const appended = await journal.append(peer, async () => ({
        drafts: [{ type: 'AgreementProposed', causes: [], data: { terms } }],
        value: null,
      }));
      if (!appended.ok) return refuse(appended.code, appended.text);
      const digest = appended.value.events.at(-1)?.digest;
      const made = (await agreedWith(peer)).open.find(({ proposal }) => proposal === digest);
      return made === undefined
        ? refuse('AGREEMENT_UNKNOWN', 'another agreement came first: propose again')
        : { ok: true, value: made };
    },
    accept: async (peer, digest) => {
      const fault = unknown(peer);
      if (fault !== undefined) return fault;
      const proposal = (await agreedWith(peer)).open.find((one) => one.proposal === digest);
      if (proposal === undefined)
        return refuse('AGREEMENT_UNKNOWN', `no open proposal ${digest} stands in the ledgers with ${peer}`);
      if (proposal.proposer === self) return refuse('AGREEMENT_OWN', `${peer} has to accept what this CSP proposed`);
      const bad = unfit(proposal.terms);
      if (bad !== undefined) return bad;
      const appended = await journal.append(peer, async () => ({
        drafts: [{ type: 'AgreementAccepted', causes: [digest], data: { proposal: digest } }],
        value: null,
      }));
      if (!appended.ok) return refuse(appended.code, appended.text);
      const agreed = await agreedWith(peer);
      // A proposal of our own, of the same moment, may have come before it in our ledger.
      return agreed.inForce?.proposal === digest
        ? { ok: true, value: agreed }
        : refuse('AGREEMENT_CROSSED', 'another proposal of this version came first: look at what is open now');
    },
  };
}
