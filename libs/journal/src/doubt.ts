import type { HeadPosition, TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import { bringHomeFromBus, bringHomeKept, type OwnOnBus } from './homecoming.ts';
import type { JournalParts } from './journal.ts';
import { readLedger } from './ledgers.ts';
import type { Log } from './ports.ts';
import { thawIfHealed } from './proofs.ts';
import { leaveQuarantine, type Unread } from './quarantine.ts';

/** What one replica remembers of its doubts about one peer's word; nothing of it outlives the process. */
export type Doubt = {
  nonce: string | undefined;
  answeredFreeze: string | undefined;
  coveredAtLastLook: number;
  unread: number | undefined;
  /** How far the peer's ledger is to be here again. */
  owed: number | undefined;
};

export type Surroundings = {
  readonly onBus: OwnOnBus;
  /** No more of the peer's ledger is taken in before we have answered what is here: then a quarantine does not wait for it. */
  readonly isHeld: () => boolean;
};

/** A fresh answer: once we have all that the peer, our own files and the bus hold of us, its part of a quarantine is over. */
export async function judgeAnswer(
  parts: JournalParts,
  peer: TrustDomain,
  answer: { readonly own: HeadPosition; readonly received: HeadPosition },
  state: Doubt,
  { onBus, isHeld }: Surroundings,
): Promise<void> {
  const { db, options, headFiles, reliedFiles } = parts;
  const { self, clock, log } = options;
  const ours = { publisher: self, audience: peer };
  const quarantined = (await readLedger(db, ours)).quarantined_at !== null;
  if (quarantined) await bringHomeKept(parts, peer);
  // What the peer holds it sends with its answer.
  if (positionOf(answer.received?.seq) > (await readLedger(db, ours)).head_seq) return;
  const onlyOnBus = quarantined
    ? await bringHomeFromBus(parts, peer, onBus, positionOf(headFiles.get(peer)?.told()?.seq))
    : undefined;
  const row = await readLedger(db, ours);
  state.nonce = undefined;
  state.answeredFreeze = row.frozen?.since;
  await db.transaction().execute((tx) => thawIfHealed(tx, self, peer, row.frozen));
  if (row.frozen?.code === 'LEDGER_FORK') return;
  if (quarantined && !(await isHeard(parts, peer, answer.own, state)) && !isHeld()) return;
  const unread = await leaveQuarantine(db, { self, headFiles, reliedFiles, clock, log }, peer, onlyOnBus);
  if (unread !== undefined && unread.seq !== state.unread) warnOf(unread, peer, log);
  state.unread = unread?.seq;
}

/**
 * Whether the peer's ledger is here as far as it said first since our doubt began. Files that say what was relied on may have been set back as well, and hosts may have acted
 * on words of the peer's that are to come again.
 */
async function isHeard({ db, options }: JournalParts, peer: TrustDomain, own: HeadPosition, state: Doubt): Promise<boolean> {
  const { head_seq } = await readLedger(db, { publisher: peer, audience: options.self });
  if (state.owed === undefined && positionOf(own?.seq) > head_seq)
    options.log.warn(
      { peer, from: head_seq + 1, to: own?.seq },
      'the peer has said more than is here; until it is, our ledgers stay in quarantine',
    );
  state.owed ??= positionOf(own?.seq);
  if (state.owed > head_seq) return false;
  state.owed = undefined;
  return true;
}

function warnOf({ seq, isAnother }: Unread, peer: TrustDomain, log: Log): void {
  if (!isAnother)
    log.warn(
      { peer, seq },
      'effects relied on an event that the peer has to send again; until then our ledgers stay in quarantine',
    );
  // What it signed first was lost with the database: no proof for others, and no reason to believe it.
  else log.error({ code: 'LEDGER_FORK', peer, seq }, 'the peer sends another event in the place of one that effects relied on');
}

/** Neither our database nor our own files nor the bus know of any event of ours to this peer: then even a stranger's word may do. */
export async function wasNeverTold(
  { db, options, headFiles }: JournalParts,
  peer: TrustDomain,
  onBus: OwnOnBus,
): Promise<boolean> {
  const { head_seq } = await readLedger(db, { publisher: options.self, audience: peer });
  return head_seq === 0 && headFiles.get(peer)?.known() === null && (await onBus(0, 0)).length === 0;
}

/** Whether the peer is to be challenged: we are in quarantine, rely on an event that is not here, or wait for an acknowledgement. */
export async function isInDoubt({ db, options }: JournalParts, peer: TrustDomain, state: Doubt): Promise<boolean> {
  const row = await readLedger(db, { publisher: options.self, audience: peer });
  if (row.quarantined_at !== null) return true;
  if (row.frozen?.code === 'CAUSE_UNKNOWN' && row.frozen.since !== state.answeredFreeze) return true;
  // Heads are not stored by the bus: an acknowledgement may have been lost, and is asked for.
  const stuck = row.covered_seq < row.acked_seq && row.covered_seq === state.coveredAtLastLook;
  state.coveredAtLastLook = row.covered_seq;
  return stuck;
}
