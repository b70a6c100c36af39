import type { TrustDomain } from '@carnet/events';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { type Cosignature, cosignNote, openCosignatures } from './cosignature.ts';
import { leafHash, type MerkleTree, treeRoot } from './merkle.ts';
import { type NoteCode, openNote, signNote } from './note.ts';
import { accept, type Checked, refuse } from './refusal.ts';

/** Each ledger as an RFC 6962 log of its envelopes, and the names that its checkpoints use. */

export type LedgerNames = { readonly publisher: TrustDomain; readonly audience: TrustDomain };
/** Raw Ed25519 event key and what it signs. */
export type CheckpointSigner = { readonly publicKey: Uint8Array; sign(text: Uint8Array): Uint8Array };

export const originOf = ({ publisher, audience }: LedgerNames): string => `${publisher}/ledger/${audience}`;
export const witnessOf = (domain: TrustDomain): string => `${domain}/witness`;

/** The leaf of an event: of the exact bytes of its envelope. */
export const eventLeaf = (envelope: Uint8Array): Uint8Array => leafHash(envelope);

/** The publisher's word: my ledger to you has these events and no others before. */
export function signCheckpoint(ledger: LedgerNames, tree: MerkleTree, signer: CheckpointSigner): Uint8Array {
  const origin = originOf(ledger);
  const text = encodeCheckpoint({ origin, size: tree.size, root: treeRoot(tree), extensions: [] });
  return signNote(text, [{ name: origin, publicKey: signer.publicKey, sign: (message) => signer.sign(message) }]);
}

/** The audience's word on top of it: that is what I hold. `time`: Unix seconds. */
export const cosignCheckpoint = (note: Uint8Array, ledger: LedgerNames, signer: CheckpointSigner, time: number): Uint8Array =>
  cosignNote(
    note,
    { name: witnessOf(ledger.audience), publicKey: signer.publicKey, sign: (message) => signer.sign(message) },
    time,
  );

export type CheckpointCode = NoteCode | 'CHECKPOINT_MALFORMED' | 'CHECKPOINT_FOREIGN';

/** A checkpoint of exactly this ledger, signed under one of its publisher's event keys (raw). */
export function openCheckpoint(
  note: Uint8Array,
  ledger: LedgerNames,
  keys: readonly Uint8Array[],
): Checked<Checkpoint, CheckpointCode> {
  const origin = originOf(ledger);
  const opened = openNote(
    note,
    keys.map((publicKey) => ({ name: origin, publicKey })),
  );
  if (!opened.ok) return opened;
  const checkpoint = decodeCheckpoint(opened.value.text);
  if (!checkpoint.ok) return checkpoint;
  if (checkpoint.value.origin !== origin)
    return refuse('CHECKPOINT_FOREIGN', 'expected a checkpoint of another ledger', {
      expected: origin,
      got: checkpoint.value.origin,
    });
  return accept(checkpoint.value);
}

/** The audience's cosignature under one of its event keys (raw), and when it gave it. */
export function openWitness(
  note: Uint8Array,
  { audience }: LedgerNames,
  keys: readonly Uint8Array[],
): Checked<Cosignature, NoteCode> {
  const name = witnessOf(audience);
  const opened = openCosignatures(
    note,
    keys.map((publicKey) => ({ name, publicKey })),
  );
  if (!opened.ok) return opened;
  const [first] = opened.value;
  return first === undefined ? refuse('SIGNER_UNKNOWN', 'expected a cosignature') : accept(first);
}
