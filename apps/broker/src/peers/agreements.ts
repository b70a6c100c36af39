import {
  AGREEMENT_EVENTS_MAX,
  type AgreementTerms,
  type Digest,
  type Draft,
  type Reason,
  type TrustDomain,
} from '@carnet/events';
import type { Journal } from '@carnet/journal';
import {
  type Agreed,
  agreedIn,
  escrowFault,
  moveFault,
  type Own,
  ownFault,
  type Proposal,
  type Quorum,
  type Terms,
  type TermsFault,
} from '@carnet/policy';
import { reasonOf } from '../reason.ts';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';

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
  /** Why no such escrow may be kept of keys that this peer handed over. */
  readonly escrowFault: (peer: TrustDomain, quorum: Quorum) => Promise<Reason | undefined>;
  /** @param terms without version: the next one is taken */
  readonly propose: (peer: TrustDomain, terms: Omit<AgreementTerms, 'version'>) => Promise<ServiceResult<Proposal>>;
  readonly accept: (peer: TrustDomain, proposal: Digest) => Promise<ServiceResult<Agreed>>;
}

type Word = Extract<Draft, { readonly type: 'AgreementProposed' | 'AgreementAccepted' }>;
const sentence = (fault: TermsFault | undefined): Reason | undefined => fault && reasonOf(fault.code, fault.text);
const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/** Why no migration may begin under these terms now. One that began goes on to its end. */
export function faultUnder(terms: AgreementTerms, move: Terms, nowMs: number, own: Own): Reason | undefined {
  return sentence(moveFault(terms, move, nowMs) ?? ownFault(terms, move.target, own));
}

export function openAgreements(ports: AgreementPorts): Agreements {
  const { self, journal, nowMs, rollbackWindowSeconds, jurisdictionsOf } = ports;
  const agreedWith = async (peer: TrustDomain): Promise<Agreed> => agreedIn(await journal.agreementsWith(peer));
  /** Says one word more about agreements, where it still counts: of each ledger only the first so many are read. */
  const say = async (peer: TrustDomain, draft: Word): Promise<ServiceResult<Digest | undefined>> => {
    const own = (await journal.agreementsWith(peer)).filter(({ event }) => event?.publisher === self);
    if (own.length >= AGREEMENT_EVENTS_MAX)
      return refuse('AGREEMENT_WORDS_SPENT', `this CSP has proposed and accepted ${own.length} times in its ledger to ${peer}`);
    const appended = await journal.append(peer, async () => ({ drafts: [draft], value: null }));
    return appended.ok ? { ok: true, value: appended.value.events.at(-1)?.digest } : refuse(appended.code, appended.text);
  };
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
      return inForce && faultUnder(inForce.terms, move, nowMs(), { rollbackWindowSeconds, jurisdictionsOf });
    },
    escrowFault: async (peer, quorum) => {
      const { inForce } = await agreedWith(peer);
      return inForce && sentence(escrowFault(inForce.terms, quorum));
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
      const said = await say(peer, { type: 'AgreementProposed', causes: [], data: { terms } });
      if (!said.ok) return said;
      const made = (await agreedWith(peer)).open.find(({ proposal }) => proposal === said.value);
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
      const said = await say(peer, { type: 'AgreementAccepted', causes: [digest], data: { proposal: digest } });
      if (!said.ok) return said;
      const agreed = await agreedWith(peer);
      // A proposal of our own, of the same moment, may have come before it in our ledger.
      return agreed.inForce?.proposal === digest
        ? { ok: true, value: agreed }
        : refuse('AGREEMENT_CROSSED', 'another proposal of this version came first: look at what is open now');
    },
  };
}
