import type { AgreementTerms, Digest, MigrationMode, Reason, TrustDomain } from '@carnet/events';
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

/**
 * What two ledgers say was agreed: a pure function of them, so that both sides and an auditor find the same, and neither a clock nor the
 * order of arrival decides. An acceptance of anything but the other side's proposal counts for nothing: nobody agrees with himself.
 */
export function agreedIn(events: readonly Pick<StoredEvent, 'digest' | 'event' | 'voidCode'>[]): Agreed {
  const proposals = new Map<Digest, Proposal>();
  for (const { digest, event, voidCode } of events) {
    if (voidCode !== undefined || event?.type !== 'AgreementProposed') continue;
    proposals.set(digest, { terms: event.data.terms, proposer: event.publisher, proposal: digest });
  }
  const agreements = events.flatMap(({ digest, event, voidCode }): readonly Agreement[] => {
    if (voidCode !== undefined || event?.type !== 'AgreementAccepted') return [];
    const proposal = proposals.get(event.data.proposal);
    return proposal === undefined || proposal.proposer === event.publisher ? [] : [{ ...proposal, acceptance: digest }];
  });
  // Two of one version, accepted across each other: the same one for everybody.
  const [inForce] = agreements.toSorted(
    (one, other) => other.terms.version - one.terms.version || (one.proposal < other.proposal ? -1 : 1),
  );
  const version = inForce?.terms.version ?? 0;
  const open = [...proposals.values()].filter(({ terms }) => terms.version > version);
  return inForce === undefined ? { open } : { inForce, open };
}

/** Why no migration may begin under these terms now. One that began goes on to its end. */
export function termsFault({ terms }: Pick<Agreement, 'terms'>, mode: MigrationMode, nowMs: number): Reason | undefined {
  if (nowMs < Date.parse(terms.notBefore)) return reasonOf('AGREEMENT_NOT_BEGUN', `the agreement begins at ${terms.notBefore}`);
  // Written so that a time that is no number is refused.
  if (!(nowMs < Date.parse(terms.notAfter))) return reasonOf('AGREEMENT_EXPIRED', `the agreement ended at ${terms.notAfter}`);
  if (terms.modes.includes(mode)) return undefined;
  return reasonOf('MODE_NOT_AGREED', `the agreement allows ${terms.modes.join(', ')}, not ${mode}`);
}

export interface AgreementPorts {
  readonly self: TrustDomain;
  readonly journal: Pick<Journal, 'agreementsWith' | 'append' | 'peers'>;
  readonly nowMs: () => number;
  /** Of this broker's configuration: nothing shorter may be agreed on. */
  readonly rollbackWindowSeconds: number;
}
export interface Agreements {
  readonly with: (peer: TrustDomain) => Promise<ServiceResult<Agreed>>;
  /** Absent where the peers have never agreed on terms: then the configuration alone decides. */
  readonly fault: (peer: TrustDomain, mode: MigrationMode) => Promise<Reason | undefined>;
  /** @param terms without version: the next one is taken */
  readonly propose: (peer: TrustDomain, terms: Omit<AgreementTerms, 'version'>) => Promise<ServiceResult<Proposal>>;
  readonly accept: (peer: TrustDomain, proposal: Digest) => Promise<ServiceResult<Agreed>>;
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

export function openAgreements({ self, journal, nowMs, rollbackWindowSeconds }: AgreementPorts): Agreements {
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
    fault: async (peer, mode) => {
      const { inForce } = await agreedWith(peer);
      return inForce === undefined ? undefined : termsFault(inForce, mode, nowMs());
    },
    propose: async (peer, wanted) => {
      const fault = unknown(peer) ?? unfit(wanted);
      if (fault !== undefined) return fault;
      const { inForce, open } = await agreedWith(peer);
      const terms = { ...wanted, version: Math.max(inForce?.terms.version ?? 0, ...open.map((one) => one.terms.version)) + 1 };
      const appended = await journal.append(peer, async () => ({
        drafts: [{ type: 'AgreementProposed', causes: [], data: { terms } }],
        value: null,
      }));
      if (!appended.ok) return refuse(appended.code, appended.text);
      const made = (await agreedWith(peer)).open.find(
        ({ proposer, terms: one }) => proposer === self && one.version === terms.version,
      );
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
      return appended.ok ? { ok: true, value: await agreedWith(peer) } : refuse(appended.code, appended.text);
    },
  };
}
