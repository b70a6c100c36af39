import { ledgerSubjects, type TrustDomain } from '@carnet/events';
import { runChanges, type Store } from '@carnet/store';
import { type Checked, type Proof, positionOf, refuse, seqOf } from '@carnet/trust';
import { type Appender, openAppender } from './append.ts';
import type { Boots } from './boots.ts';
import type { AppendCode } from './codes.ts';
import { type Comparisons, openComparisons } from './comparison.ts';
import type { Author, KeyEnding } from './draft.ts';
import type { Delivery } from './early.ts';
import { JournalError } from './error.ts';
import { type HeadFile, type KeptOf, openHeadFile } from './head-file.ts';
import { bringHomeKept } from './homecoming.ts';
import { keepUpTo } from './keep.ts';
import { endOf, ensureLedgers, type JournalDb, type Ledger, readLedger } from './ledgers.ts';
import { type Notice, type Notices, openNotices } from './notices.ts';
import { endKey, tendKeys } from './own-keys.ts';
import type { ChainValidator, ChainVerdict, Clock, Log, RandomBytes, Signing } from './ports.ts';
import { type ProofRefusal, proofAgainst } from './proof-export.ts';
import { digestAt, isQuarantined, quarantine, quarantineIfBehind } from './quarantine.ts';
import { type JourneyEnds, type LastEvent, type Queries, queries } from './queries.ts';
import { openReceiver, type Received, type Receiver } from './receive.ts';
import { openRoster, type Roster } from './roster.ts';
import { introductionsOf, openStanding, type Standing } from './standing.ts';
import { journalChanges, type Tables } from './tables.ts';
import type { AppendOutcome, Plan } from './writer.ts';

export type JournalOptions = {
  readonly store: Store;
  readonly self: TrustDomain;
  readonly peers: readonly TrustDomain[];
  /** The Ed25519 event key of now, and how the X.509 identity introduces it in each ledger. */
  readonly signing: () => Signing;
  readonly validateChain: ChainValidator;
  /** One durable directory for each replica, outside of the database's. */
  readonly headDir: string;
  /** Of this machine, beside the head files: `bootsIn`. */
  readonly boots: Boots;
  /** Default: files in `headDir`. */
  readonly openHeadFile?: (dir: string, peer: TrustDomain, of: KeptOf) => Promise<HeadFile>;
  /** What a peer asked for and has no answer to yet. More of its ledger is placed only while that is little. Default: nothing. */
  readonly unanswered?: (peer: TrustDomain) => number;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
};

export type Journal = Queries & {
  readonly self: TrustDomain;
  /** Of now: one list that changes in place when a peer is attached or detached. */
  readonly peers: readonly TrustDomain[];
  /** Opens the two ledgers with a further peer, and the bus's link to it, while everything else goes on. Idempotent. */
  readonly attach: (peer: TrustDomain) => Promise<void>;
  /** From now on nothing is said to this peer and nothing of it is heard; what stands in both ledgers stays. Idempotent. */
  readonly detach: (peer: TrustDomain) => void;
  /**
   * Decides events of our ledger to one peer: one transaction under the ledger's head lock. The first append to a peer, and the
   * first after a change of the event key, writes `KeyAnnounced` before the drafts. Throws what the plan throws; whatever the plan
   * wrote is then undone, as it is when the append is refused. In the first moments of a boot it waits until the bus has said what it holds of our ledgers.
   */
  readonly append: <T>(audience: TrustDomain, plan: Plan<T>) => Promise<AppendOutcome<T>>;
  /**
   * Returns once what an effect relies on is durable outside of the database: of our ledger to this peer the events up to `own`, told or not,
   * and of the peer's how far; without `ends` all of ours up to now. A database that is restored has our events again, decides nothing else in
   * their place, and nothing before the peer has sent its own again. Without news it is a comparison in memory. With a peer that was removed
   * nothing is decided any more, so nothing is kept. @throws JournalError HEAD_FILE_BROKEN, LEDGER_BROKEN
   */
  readonly keep: (peer: TrustDomain, ends?: Pick<JourneyEnds, 'own' | 'received'>) => Promise<void>;
  /** Admits one envelope of a peer's ledger. Its subject, if it came by one, must say the same as its payload. */
  readonly receive: (peer: TrustDomain, delivery: Delivery) => Promise<Received>;
  /** As `receive`, many in one transaction; answers in the order given. */
  readonly receiveAll: (peer: TrustDomain, deliveries: readonly Delivery[]) => Promise<readonly Received[]>;
  /**
   * Says of our event keys what is owed in each ledger that has begun: a new key is announced, the one before it ended after the
   * overlap. Also done by every append; idempotent.
   */
  readonly tendKeys: () => Promise<void>;
  /**
   * Ends an event key of ours that others may hold: `lastSeq` is the last position that we vouch for. What it signed between there
   * and now stays placed, and auditors name it. Refused for the key that signs now: change it first.
   */
  readonly endKey: (
    audience: TrustDomain,
    ending: KeyEnding,
  ) => Promise<Checked<null, AppendCode | 'KEY_IN_USE' | 'KEY_UNKNOWN' | 'KEY_ENDED'>>;
  /** What the peer's certificate is worth now, by our revocation lists; `undefined` before it introduced itself. */
  readonly standing: (peer: TrustDomain) => Promise<ChainVerdict | undefined>;
  /** With which chains (leaf first, base64 DER) the peer has introduced its event keys, the newest first. */
  readonly introductions: (peer: TrustDomain) => Promise<readonly (readonly string[])[]>;
  /** What convicts a peer, for a third party (`judgeProof`). `PROOF_NONE`: nothing is kept; another code: what is kept convinces nobody else. */
  readonly proofAgainst: (peer: TrustDomain) => Promise<Checked<Proof, ProofRefusal>>;
  /** Whatever is placed from now on, by any replica. An empty list: look again. */
  readonly subscribe: (heard: (notices: readonly Notice[]) => void) => () => void;
  readonly close: () => Promise<void>;
};

/** What the bus of this lib needs beyond a `Journal`. */
export type JournalParts = {
  readonly options: JournalOptions;
  readonly db: JournalDb;
  readonly roster: Roster;
  readonly headFiles: ReadonlyMap<TrustDomain, HeadFile>;
  readonly reliedFiles: ReadonlyMap<TrustDomain, HeadFile>;
  readonly appenders: ReadonlyMap<TrustDomain, Appender>;
  readonly comparisons: Comparisons;
  readonly theirs: ReadonlyMap<TrustDomain, Receiver>;
  readonly ours: ReadonlyMap<TrustDomain, Receiver>;
  readonly notices: Notices;
  readonly standing: Standing;
};

const REPLICA_BYTES = 8;

/** Opens the ledgers between `self` and each peer. Runs this lib's changes, compares heads with their files. */
export async function openJournal(options: JournalOptions): Promise<{ readonly journal: Journal; readonly parts: JournalParts }> {
  const opened = await openParts(options);
  return { journal: journalOf(opened), parts: opened.parts };
}

type Opened = {
  readonly parts: JournalParts;
  readonly attach: Journal['attach'];
  readonly detach: Journal['detach'];
};

async function openParts(options: JournalOptions): Promise<Opened> {
  const { store, self, validateChain, clock, log, random, signing } = options;
  await runChanges(store, journalChanges);
  const db = store.db.$extendTables<Tables>();
  const standing = openStanding(self, validateChain);
  const replica = Buffer.from(random(REPLICA_BYTES)).toString('hex');
  const notices = await openNotices({ store, db, replica, log });
  const roster = openRoster();
  const comparisons = openComparisons(options.boots);
  const headFiles = new Map<TrustDomain, HeadFile>();
  const reliedFiles = new Map<TrustDomain, HeadFile>();
  const appenders = new Map<TrustDomain, Appender>();
  const theirs = new Map<TrustDomain, Receiver>();
  const ours = new Map<TrustDomain, Receiver>();
  const author = (): Author => ({ ...signing(), clock, random });
  const receiver = (peer: TrustDomain, ledger: 'theirs' | 'ours'): Receiver =>
    openReceiver(db, { self, peer, ledger, validateChain, standing, clock, log }, notices.committed);
  const appender = (audience: TrustDomain, headFile: HeadFile, reliedFile: HeadFile): Appender =>
    openAppender(db, {
      self,
      audience,
      peers: roster.peers,
      author,
      validateChain,
      standing,
      durableHead: headFile.known,
      reliedOn: reliedFile.known,
      committed: notices.committed,
      foundBehind: async () => {
        await quarantine(db, { self, clock, log }, `a ledger with ${audience} is behind what was kept of it`);
        await bringHomeKept(parts, audience);
      },
    });
  const parts: JournalParts = {
    options,
    db,
    roster,
    headFiles,
    reliedFiles,
    appenders,
    comparisons,
    theirs,
    ours,
    notices,
    standing,
  };
  const attach = async (peer: TrustDomain): Promise<void> => {
    if (roster.has(peer)) return;
    await ensureLedgers(db, self, [peer]);
    // An invited peer comes with each start: what is decided with others may rely on its ledger as well.
    const { head_seq } = await readLedger(db, { publisher: self, audience: peer });
    await openPeer(peer, head_seq > 0 ? 'for-all' : 'for-itself');
  };
  const openPeer = async (peer: TrustDomain, whom: 'for-all' | 'for-itself'): Promise<void> => {
    const looking = options.boots.look(peer);
    if (looking !== undefined) await looking;
    const open = options.openHeadFile ?? openHeadFile;
    const headFile = await open(options.headDir, peer, 'head');
    const reliedFile = await open(options.headDir, peer, 'relied');
    const files = { headFiles: new Map([[peer, headFile]]), reliedFiles: new Map([[peer, reliedFile]]) };
    await quarantineIfBehind(db, { self, ...files, clock, log });
    headFiles.set(peer, headFile);
    reliedFiles.set(peer, reliedFile);
    theirs.set(peer, receiver(peer, 'theirs'));
    ours.set(peer, receiver(peer, 'ours'));
    for (const ledger of ledgersWith(self, peer)) await notices.follow(ledger);
    await bringHomeKept(parts, peer);
    await keepWhatIsHere(parts, peer);
    await comparisons.begin(peer, whom);
    appenders.set(peer, comparisons.first(peer, appender(peer, headFile, reliedFile)));
    roster.add(peer);
  };
  const detach = (peer: TrustDomain): void => {
    roster.remove(peer);
    comparisons.end(peer);
    for (const ledger of ledgersWith(self, peer)) notices.forget(ledger);
    for (const part of [headFiles, reliedFiles, appenders, theirs, ours]) part.delete(peer);
  };
  try {
    // All before any: a database that is found behind one head file quarantines every own ledger, and whatever is found later waits for all.
    await ensureLedgers(db, self, options.peers);
    options.peers.forEach(roster.add);
    for (const peer of new Set(options.peers)) await openPeer(peer, 'for-all');
  } catch (cause) {
    // Whoever starts tries again: each time another connection would go on listening.
    await notices.stop().catch(() => undefined);
    throw cause;
  }
  return { parts, attach, detach };
}

const ledgersWith = (self: TrustDomain, peer: TrustDomain): readonly Ledger[] => [
  { publisher: self, audience: peer },
  { publisher: peer, audience: self },
];

/** A folder that is new, or older than the database, knows as much from now on. */
async function keepWhatIsHere(parts: JournalParts, peer: TrustDomain): Promise<void> {
  const { db, options, roster } = parts;
  if (await isQuarantined(db, options.self, [...roster.peers, peer])) return;
  try {
    await keep(parts, peer);
  } catch (cause) {
    if (!(cause instanceof JournalError)) throw cause;
    // Whatever relies on it is refused, each time; the rest goes on.
    options.log.error({ code: cause.code, peer, cause: cause.message }, 'our ledger cannot be kept outside of the database');
  }
}

function journalOf({ parts, attach, detach }: Opened): Journal {
  const { options, db, notices, theirs, appenders, roster } = parts;
  const { self } = options;
  const receiveAll = async (peer: TrustDomain, deliveries: readonly Delivery[]): Promise<readonly Received[]> => {
    const receiver = theirs.get(peer);
    if (receiver === undefined) throw new JournalError('PEER_UNCONFIGURED', `${peer} (${ledgerSubjects(peer, self)})`);
    return receiver.receive(deliveries);
  };

  return {
    ...queries(db, self),
    self,
    peers: roster.peers,
    attach,
    detach,
    append: async (audience, plan) => {
      const appender = appenders.get(audience);
      if (appender === undefined) return refuse('PEER_UNKNOWN', 'expected a configured peer', { got: audience });
      return appender(plan);
    },
    keep: (peer, ends) => keep(parts, peer, ends),
    receiveAll,
    receive: async (peer, delivery) => {
      const [received] = await receiveAll(peer, [delivery]);
      if (received === undefined) throw new JournalError('LEDGER_BROKEN', 'one delivery has one answer');
      return received;
    },
    tendKeys: () => tendKeys(parts),
    endKey: (audience, ending) => endKey(parts, audience, ending),
    standing: (peer) => parts.standing(db, peer),
    introductions: (peer) => introductionsOf(db, self, peer),
    proofAgainst: (peer) => proofAgainst(db, { self, peer }),
    subscribe: notices.subscribe,
    close: notices.stop,
  };
}

async function keep(
  { options, db, headFiles, reliedFiles }: JournalParts,
  peer: TrustDomain,
  ends?: Pick<JourneyEnds, 'own' | 'received'>,
): Promise<void> {
  const ours = { publisher: options.self, audience: peer };
  const [head, relied] = [headFiles.get(peer), reliedFiles.get(peer)];
  if (head === undefined || relied === undefined) return;
  const own = ends === undefined ? endOf(await readLedger(db, ours)) : ends.own;
  if (isFurther(own, head)) {
    await keepUpTo(db, ours, head, { end: own, purpose: 'relied-on' });
    if (head.isLarge()) await forgetCovered(db, ours, head);
  }
  if (isFurther(ends?.received, relied)) await relied.keep([], { seq: seqOf(ends.received.seq), digest: ends.received.digest });
}

/** Whoever talks with the peer does so with each head that it hears; of a replica that only looks the file would grow for ever. */
async function forgetCovered(db: JournalDb, ours: Ledger, file: HeadFile): Promise<void> {
  const { covered_seq: seq } = await readLedger(db, ours);
  const digest = await digestAt(db, ours.publisher, ours.audience, seq);
  if (digest !== undefined) await file.covered({ seq: seqOf(seq), digest });
}

const isFurther = (end: LastEvent | undefined, file: HeadFile): end is LastEvent =>
  end !== undefined && positionOf(file.known()?.seq) < end.seq;
