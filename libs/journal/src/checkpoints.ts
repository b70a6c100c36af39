import { type Digest, digest } from '@carnet/events';
import {
  accept,
  appendLeaf,
  type Checked,
  type CheckpointCode,
  cosignCheckpoint,
  currentKeys,
  emptyTree,
  eventLeaf,
  type MerkleTree,
  openCheckpoint,
  openWitness,
  sha256Hex,
  signCheckpoint,
  treeRoot,
} from '@carnet/trust';
import { JournalError } from './error.ts';
import { eventsIn, type JournalDb, type Ledger, readLedger, type StoredLedger, stateOf } from './ledgers.ts';
import { CHECKPOINT_EVENTS_MAX, CHECKPOINT_READ_MAX } from './limits.ts';
import type { EventSigner } from './ports.ts';

/** A cosigned checkpoint, and the tree behind it. */
type Kept = { readonly tree: MerkleTree; readonly note: Uint8Array | undefined };

/** What a checkpoint says that we do not hold: both roots, as digests. */
export type Contradiction = { readonly held: Digest; readonly told: Digest; readonly size: number };

/** What follows from a peer's checkpoint of its ledger to us. */
export type Witnessed =
  | { readonly kind: 'cosigned'; readonly note: Uint8Array }
  /** We do not hold all of it yet. */
  | { readonly kind: 'behind' }
  | ({ readonly kind: 'contradiction' } & Contradiction);

/** What follows from a peer's cosignature under a checkpoint of our ledger to it. */
export type Returned =
  | { readonly kind: 'kept' | 'known' }
  /** It cosigned more than we have: this database was restored. */
  | { readonly kind: 'ahead'; readonly size: number }
  | ({ readonly kind: 'contradiction' } & Contradiction);

/**
 * Our next checkpoint of a ledger of ours: of what the audience has acknowledged, so that it can judge it at once. `undefined`:
 * nothing new since the last cosigned one, or the ledger is in doubt.
 */
export async function nextCheckpoint(db: JournalDb, ledger: Ledger, signer: EventSigner): Promise<Uint8Array | undefined> {
  const row = await readLedger(db, ledger);
  const { tree } = await keptOf(db, ledger);
  if (isInDoubt(row) || row.covered_seq <= tree.size) return undefined;
  const size = Math.min(row.covered_seq, tree.size + CHECKPOINT_EVENTS_MAX);
  return signCheckpoint(ledger, await grow(db, ledger, tree, size), signer);
}

/**
 * The audience's part: what the publisher signed is compared with what is held here, leaf by leaf, before anything is said to it. A
 * note of what was cosigned already is answered with the one that is kept.
 */
export async function witness(
  db: JournalDb,
  ledger: Ledger,
  note: Uint8Array,
  by: { readonly signer: EventSigner; readonly nowMs: number },
): Promise<Checked<Witnessed, CheckpointCode>> {
  const row = await readLedger(db, ledger);
  const opened = openCheckpoint(note, ledger, publicKeysOf(row));
  if (!opened.ok) return opened;
  const { size, root } = opened.value;
  const kept = await keptOf(db, ledger);
  if (size > row.head_seq || isInDoubt(row)) return accept({ kind: 'behind' });
  if (size < kept.tree.size) return accept(kept.note === undefined ? { kind: 'behind' } : { kind: 'cosigned', note: kept.note });
  const tree = await treeWith(db, ledger, kept.tree, { size, root });
  if ('held' in tree) return accept({ kind: 'contradiction', ...tree });
  if (size === kept.tree.size && kept.note !== undefined) return accept({ kind: 'cosigned', note: kept.note });
  const cosigned = cosignCheckpoint(note, ledger, by.signer, Math.floor(by.nowMs / 1_000));
  // Kept before it is said: what we cosigned we must never contradict.
  await keep(db, ledger, tree, cosigned);
  return accept({ kind: 'cosigned', note: cosigned });
}

/** The publisher's part: the peer's cosignature under our own word. */
export async function takeCosigned(db: JournalDb, ledger: Ledger, note: Uint8Array): Promise<Checked<Returned, CheckpointCode>> {
  const row = await readLedger(db, ledger);
  const peers = await readLedger(db, { publisher: ledger.audience, audience: ledger.publisher });
  const opened = openCheckpoint(note, ledger, publicKeysOf(row));
  if (!opened.ok) return opened;
  const witnessed = openWitness(note, ledger, publicKeysOf(peers));
  if (!witnessed.ok) return witnessed;
  const { size, root } = opened.value;
  const kept = await keptOf(db, ledger);
  if (size > row.head_seq) return accept({ kind: 'ahead', size });
  if (size < kept.tree.size) return accept({ kind: 'known' });
  const tree = await treeWith(db, ledger, kept.tree, { size, root });
  if ('held' in tree) return accept({ kind: 'contradiction', ...tree });
  await keep(db, ledger, tree, note);
  return accept({ kind: size === kept.tree.size ? 'known' : 'kept' });
}

/** Signed by the publisher and cosigned by the audience (c2sp.org/tlog-checkpoint, tlog-cosignature): these events, and no others. */
export type CosignedCheckpoint = Ledger & { readonly size: number; readonly note: Uint8Array };

export async function checkpointsOf(db: JournalDb): Promise<readonly CosignedCheckpoint[]> {
  return db
    .selectFrom('checkpoints')
    .select(['publisher', 'audience', 'size', 'note'])
    .orderBy('publisher')
    .orderBy('audience')
    .execute();
}

const isInDoubt = (row: StoredLedger): boolean => row.frozen !== null || row.quarantined_at !== null;
const publicKeysOf = (row: StoredLedger): readonly Uint8Array[] =>
  currentKeys(stateOf(row)).map(({ publicKey }) => Buffer.from(publicKey, 'base64'));
const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const hex = (root: Uint8Array): Digest => digest.parse(Buffer.from(root).toString('hex'));

async function keptOf(db: JournalDb, { publisher, audience }: Ledger): Promise<Kept> {
  const row = await db
    .selectFrom('checkpoints')
    .selectAll()
    .where('publisher', '=', publisher)
    .where('audience', '=', audience)
    .executeTakeFirst();
  if (row === undefined) return { tree: emptyTree, note: undefined };
  return { tree: { size: row.size, peaks: row.peaks.map((peak) => Buffer.from(peak, 'base64')) }, note: row.note };
}

/** Replicas race: the longer one stays. */
async function keep(db: JournalDb, { publisher, audience }: Ledger, tree: MerkleTree, note: Uint8Array): Promise<void> {
  const row = { size: tree.size, peaks: JSON.stringify(tree.peaks.map((peak) => Buffer.from(peak).toString('base64'))), note };
  await db
    .insertInto('checkpoints')
    .values({ publisher, audience, ...row })
    .onConflict((conflict) =>
      conflict.columns(['publisher', 'audience']).doUpdateSet(row).where('checkpoints.size', '<=', tree.size),
    )
    .execute();
}

/**
 * The tree of what is held here, if it has the root that was told. Nobody is accused by a row of our own that is damaged: before a
 * contradiction is one, the tree is grown again from its first event, and each event compared with its digest.
 *
 * @throws JournalError LEDGER_BROKEN
 */
async function treeWith(
  db: JournalDb,
  ledger: Ledger,
  from: MerkleTree,
  told: { readonly size: number; readonly root: Uint8Array },
): Promise<MerkleTree | Contradiction> {
  const quick = await grow(db, ledger, from, told.size);
  if (isSame(treeRoot(quick), told.root)) return quick;
  const whole = await grow(db, ledger, emptyTree, told.size);
  if (isSame(treeRoot(whole), told.root)) return whole;
  return { held: hex(treeRoot(whole)), told: hex(told.root), size: told.size };
}

/** The tree of the first `size` events, from an earlier one. */
async function grow(db: JournalDb, { publisher, audience }: Ledger, from: MerkleTree, size: number): Promise<MerkleTree> {
  let tree = from;
  while (tree.size < size) {
    const rows = await eventsIn(db, { publisher, audience })
      .select(['seq', 'digest', 'envelope'])
      .where('seq', '>', tree.size)
      .where('seq', '<=', size)
      .orderBy('seq')
      .limit(CHECKPOINT_READ_MAX)
      .execute();
    if (rows.length === 0)
      throw new JournalError('LEDGER_BROKEN', `event ${tree.size + 1} from ${publisher} to ${audience} is missing`);
    for (const { seq, digest: said, envelope } of rows) {
      if (seq !== tree.size + 1 || sha256Hex(envelope) !== said)
        throw new JournalError('LEDGER_BROKEN', `event ${tree.size + 1} from ${publisher} to ${audience} is damaged`);
      tree = appendLeaf(tree, eventLeaf(envelope));
    }
  }
  return tree;
}
