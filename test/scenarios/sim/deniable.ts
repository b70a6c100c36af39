import { type Digest, GENESIS, PAYLOAD_TYPES, type PeerMessage, peerMessage, type TrustDomain } from '@carnet/events';
import { keyAnnouncementBytes, openEnvelope, readEd25519Key, type Verifier } from '@carnet/trust';
import type { FenceEntry } from '../../../libs/hypervisor/src/fence/entry.ts';
import { headOfKept } from '../../../libs/journal/src/head-file.ts';
import type { Csp } from './csp.ts';
import { type Entry, ledgerName, type News } from './ledger-news.ts';
import type { Violation } from './violation.ts';

const wrong = (text: string): Violation => ({ rule: 'I5 nothing deniable', text });
type End = { readonly seq: number; readonly digest: Digest };
/** Whatever anybody has read of it: where it stands. */
type Known = {
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
  readonly seq: number;
  readonly type: string;
  readonly epoch: number | undefined;
};

/**
 * Which event a host must have been given for what its register says. The peer's promise before a stop, its word on the image before a surrender, an
 * end before a resume, one's own word before a start.
 */
function provingTypes({ role, standing, vcpus }: FenceEntry): readonly string[] | 'any' {
  const ends = ['MigrationWithdrawn', 'MigrationRelinquished', 'BreakGlassResumed'];
  if (role === 'source') {
    if (standing === 'surrendered') return ['ImageVerified'];
    return vcpus === 'may-run' ? ends : ['TargetReady', ...ends];
  }
  if (standing === 'mine') return ['StartAuthorized'];
  return standing === 'surrendered' ? ['BreakGlassResumed'] : 'any';
}

const utf8 = new TextDecoder();

/** I5, after every step. */
export function createDeniable(identityOf: (domain: TrustDomain) => Csp['identity'] | undefined) {
  const ends = new Map<Csp, Map<string, End>>();
  const verified = new Set<Digest>();
  const known = new Map<Digest, Known>();
  const verifiers = new Map<string, Verifier>();
  const acknowledged = new Map<Csp, { readonly ledgers: readonly object[]; readonly peers: readonly object[] }>();

  /** The key that a ledger's publisher introduced there, by its certificate. */
  const introduced = ({ event, placement }: Entry): Verifier | undefined => {
    if (event?.type !== 'KeyAnnounced') return undefined;
    const { chain: _, signature, ...said } = event.data;
    const bytes = keyAnnouncementBytes(placement.publisher, placement.audience, said);
    const isVouched = identityOf(placement.publisher)?.command.verifier.verify(bytes, Buffer.from(signature, 'base64'));
    return isVouched === true ? readEd25519Key(Buffer.from(event.data.publicKey, 'base64')) : undefined;
  };
  const signatureFault = (entry: Entry): string | undefined => {
    if (verified.has(entry.digest)) return undefined;
    const { placement, envelope, digest } = entry;
    const name = ledgerName(placement);
    const verifier = (placement.seq === '1' ? introduced(entry) : undefined) ?? verifiers.get(name);
    if (verifier === undefined) return `${name} ${placement.seq} is signed by nobody that ${placement.publisher} vouched for`;
    verifiers.set(name, verifier);
    const opened = openEnvelope(envelope, PAYLOAD_TYPES.event, () => verifier);
    if (!opened.ok) return `${name} ${placement.seq}: ${opened.code}`;
    if (opened.value.digest !== digest) return `${name} ${placement.seq} is not what its digest says`;
    verified.add(digest);
    return undefined;
  };

  const take = ({ holder, isAnew, entries, damaged }: News): Violation | undefined => {
    const mine = (isAnew ? undefined : ends.get(holder)) ?? new Map<string, End>();
    ends.set(holder, mine);
    for (const entry of entries) {
      const { placement, digest } = entry;
      const { publisher, audience, type, epoch } = placement;
      const seq = Number(placement.seq);
      const name = ledgerName(placement);
      const before = mine.get(name) ?? { seq: 0, digest: GENESIS };
      if (seq !== before.seq + 1 || placement.prev !== before.digest)
        return wrong(`${holder.domain}: ${name} ${seq} does not follow ${before.seq}`);
      mine.set(name, { seq, digest });
      known.set(digest, { publisher, audience, seq, type, epoch });
      const fault = signatureFault(entry);
      if (fault !== undefined) return wrong(`${holder.domain}: ${fault}`);
    }
    return damaged === undefined ? undefined : wrong(damaged);
  };

  const headIn = (csp: Csp, peer: TrustDomain, envelope: unknown): PeerMessage | undefined => {
    const verifier = verifiers.get(ledgerName({ publisher: peer, audience: csp.domain }));
    if (!(envelope instanceof Uint8Array) || verifier === undefined) return undefined;
    const opened = openEnvelope(envelope, PAYLOAD_TYPES.peerMessage, () => verifier);
    return opened.ok ? peerMessage.safeParse(JSON.parse(utf8.decode(opened.value.payload))).data : undefined;
  };
  /** What a CSP takes for acknowledged, its peer has signed to hold: the very event, or one that follows it. */
  const unacknowledged = (csp: Csp): Violation | undefined => {
    const { database, domain } = csp;
    const ledgers = database.rows('select audience, covered_seq from ledgers where publisher = ? and covered_seq > 0', domain);
    const peers = database.rows('select peer, head_envelope from peers');
    const before = acknowledged.get(csp);
    if (before?.ledgers === ledgers && before.peers === peers) return undefined;
    acknowledged.set(csp, { ledgers, peers });
    for (const { audience, covered_seq: covered } of ledgers) {
      const peer = audience as TrustDomain;
      const head = headIn(csp, peer, peers.find((row) => row['peer'] === peer)?.['head_envelope']);
      const received = head !== undefined && 'received' in head ? head.received : null;
      if (Number(received?.seq ?? 0) < Number(covered))
        return wrong(
          `${domain}: ${peer} has acknowledged ${String(covered)}, and its signed head says ${received?.seq ?? 'nothing'}`,
        );
      const named = received === null ? undefined : known.get(received.digest);
      if (named !== undefined && (named.publisher !== domain || named.seq !== Number(received?.seq)))
        return wrong(`${domain}: the signed head of ${peer} names another event than ${received?.seq}`);
    }
    return undefined;
  };

  /** Also once its database is lost: what is ours from our own files or the peer, what is the peer's from the peer. */
  const canProve = (csp: Csp, { publisher, audience, seq }: Known, digest: Digest): boolean => {
    // Not looked at yet by a new process: it writes again what is here.
    if (csp.isUnkept) return true;
    if (publisher !== csp.domain)
      return Number(headOfKept(csp.relied.get(publisher) ?? NOTHING)?.seq ?? 0) >= seq || csp.reliedUnkept.has(digest);
    if (csp.heads.get(audience)?.events.some((kept) => kept.digest === digest) === true) return true;
    const [row] = csp.database.rows('select covered_seq from ledgers where publisher = ? and audience = ?', csp.domain, audience);
    return Number(row?.['covered_seq'] ?? 0) >= seq || csp.restores > 0;
  };
  const NOTHING = { told: null, events: [] } as const;

  return {
    take,
    unacknowledged,
    /** What its host has done is what an event calls for that this CSP can show. */
    unproven: (csp: Csp, entry: FenceEntry): Violation | undefined => {
      if (entry.because === null) return undefined;
      const at = `the host of ${csp.domain} is ${entry.role} ${entry.standing} ${entry.vcpus} @${entry.epoch}`;
      const event = known.get(entry.because);
      if (event === undefined || (event.publisher !== csp.domain && event.audience !== csp.domain))
        return wrong(`${at}, and no event says so`);
      const types = provingTypes(entry);
      // A broken glass is of the epoch that was given away, and opens a higher one at its source.
      const isOfEpoch =
        event.type === 'BreakGlassResumed' && entry.role === 'source'
          ? (event.epoch ?? entry.epoch) < entry.epoch
          : event.epoch === entry.epoch;
      if (!isOfEpoch || (types !== 'any' && !types.includes(event.type)))
        return wrong(`${at} because of ${event.type} @${event.epoch ?? '-'}`);
      const isHeld = csp.restores > 0 || (ends.get(csp)?.get(ledgerName(event))?.seq ?? 0) >= event.seq;
      if (!isHeld) return wrong(`${at}, and its ledgers do not say so`);
      return canProve(csp, event, entry.because)
        ? undefined
        : wrong(`${at} because of ${event.type}, which only its database has`);
    },
  };
}
