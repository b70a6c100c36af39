import { type Digest, PAYLOAD_TYPES, type PeerMessage, peerMessage, type Seq, type Timestamp } from '@carnet/events';
import { digestOf, positionOf } from './bytes.ts';
import { readEnvelope } from './envelope.ts';
import { eventLeaf, type LedgerNames, openCheckpoint } from './ledger-checkpoint.ts';
import { merkleRoot } from './merkle.ts';
import type { Proof } from './proof.ts';
import type { ProofCode } from './proof-codes.ts';
import { accept, type Checked, refuse } from './refusal.ts';
import {
  type Link,
  openShownLedger,
  type ProofRules,
  type ShownLedger,
  type SignedEvent,
  type VouchedKey,
} from './shown-ledger.ts';

/** What the accused signed that contradicts what else it signed, or relies on what its audience never said. */
export type Contradiction =
  | { readonly kind: 'two-events'; readonly seq: Seq; readonly held: Digest; readonly told: Digest }
  /** Its event names another one as the one before it than it signed there (`seq`). */
  | { readonly kind: 'another-past'; readonly seq: Seq; readonly held: Digest; readonly told: Digest }
  /** A head that it signed (`at`) ends in another event than it signed there. */
  | { readonly kind: 'false-head'; readonly seq: Seq; readonly held: Digest; readonly told: Digest; readonly at: Timestamp }
  /** It signed another root over its first `size` events than they have. */
  | {
      readonly kind: 'false-checkpoint';
      readonly size: number;
      readonly held: Digest;
      readonly told: Digest;
      readonly at: Timestamp;
    }
  /** Its event cites one that is not among the audience's first `shown` events, further than which it holds none by its own later word. */
  | { readonly kind: 'unknown-cause'; readonly seq: Seq; readonly cause: Digest; readonly shown: number };

/** `keys`: the event keys that signed both pieces, each vouched for by a certificate of the accused as of when it was introduced. */
export type Convinced = {
  readonly statement: Digest;
  readonly contradiction: Contradiction;
  readonly keys: readonly VouchedKey[];
};

/**
 * Judges a proof as a court would: by signatures and certificates alone, and by nothing that its bearer says. A key that was stolen signs as well
 * as its owner: then the accused answers with the `KeyRevoked` that it published before.
 *
 * @param audienceLedger `as shown`: its bearer may have cut it below what was cited, so the accused's own head must say where it ended; `whole`: we hold it
 */
export function judgeProof(
  proof: Proof,
  rules: ProofRules,
  audienceLedger: 'as shown' | 'whole' = 'as shown',
): Checked<Convinced, ProofCode> {
  const { accused, audience, statement, accusedEvents } = proof;
  if (accused === audience) return refuse('PROOF_MISPLACED', 'expected another audience than the accused itself');
  const names = { publisher: accused, audience };
  const theirs = openShownLedger(names, accusedEvents, rules, [statement]);
  const read = readEnvelope(statement);
  if (read.ok && read.value.payloadType === PAYLOAD_TYPES.peerMessage) return judgeMessage(names, theirs, statement);
  const said = theirs.event(statement);
  if (!said.ok) return said;
  return proof.code === 'CAUSE_UNKNOWN'
    ? judgeCauses(proof, rules, { theirs, said: said.value, audienceLedger })
    : judgeEvent(theirs, said.value);
}

/** At a position where another event stands, or after another one than stands there. */
function judgeEvent(theirs: ShownLedger, said: SignedEvent): Checked<Convinced, ProofCode> {
  const position = positionOf(said.placement.seq);
  const rival = theirs.at(position);
  if (rival !== undefined) {
    const held = theirs.event(rival);
    if (!held.ok) return held;
    return contradicts('two-events', said, held.value, said.digest);
  }
  const before = theirs.at(position - 1);
  if (before === undefined) return refuse('PROOF_INCOMPLETE', `expected another event at ${position}, or the one before it`);
  const held = theirs.event(before);
  if (!held.ok) return held;
  return contradicts('another-past', said, held.value, said.placement.prev);
}

function contradicts(
  kind: 'two-events' | 'another-past',
  said: SignedEvent,
  held: SignedEvent,
  told: Digest,
): Checked<Convinced, ProofCode> {
  const { seq } = held.placement;
  if (held.digest === told) return refuse('PROOF_NO_CONTRADICTION', `both say the same of position ${seq}`, { got: told });
  return accept({
    statement: said.digest,
    contradiction: { kind, seq, held: held.digest, told },
    keys: distinct(said.key, held.key),
  });
}

const distinct = (one: VouchedKey, other: VouchedKey): readonly VouchedKey[] =>
  one.keyid === other.keyid ? [one] : [one, other];

type Message = { readonly message: PeerMessage; readonly digest: Digest; readonly key: VouchedKey };

function openMessage({ publisher, audience }: LedgerNames, theirs: ShownLedger, bytes: Uint8Array): Checked<Message, ProofCode> {
  const opened = theirs.open(bytes, PAYLOAD_TYPES.peerMessage);
  if (!opened.ok) return opened;
  const message = peerMessage.safeParse(opened.value.json).data;
  if (message === undefined) return refuse('PROOF_NOT_SIGNED', 'expected a message between peers');
  if (message.from !== publisher || message.to !== audience)
    return refuse('PROOF_MISPLACED', 'expected a message to another', {
      expected: `${publisher} to ${audience}`,
      got: `${message.from} to ${message.to}`,
    });
  return accept({ message, digest: opened.value.digest, key: opened.value.key });
}

function judgeMessage(names: LedgerNames, theirs: ShownLedger, statement: Uint8Array): Checked<Convinced, ProofCode> {
  const opened = openMessage(names, theirs, statement);
  if (!opened.ok) return opened;
  switch (opened.value.message.kind) {
    case 'head':
    case 'answer':
      return judgeHead(theirs, opened.value, opened.value.message);
    case 'checkpoint':
      return judgeNote(names, theirs, opened.value, opened.value.message);
    case 'ask':
    case 'challenge':
    case 'cosigned':
      return refuse('PROOF_NO_CONTRADICTION', `such a message says nothing of the ledger of ${names.publisher}`);
  }
}

type Said<K extends PeerMessage['kind']> = Extract<PeerMessage, { readonly kind: K }>;

/** What it says that it holds of us (`received`) is no matter here: we might have told it two things. */
function judgeHead(
  theirs: ShownLedger,
  { digest, key }: Message,
  { own, time }: Said<'head' | 'answer'>,
): Checked<Convinced, ProofCode> {
  if (own === null) return refuse('PROOF_NO_CONTRADICTION', 'the head says nothing of any event of its signer');
  const shown = theirs.at(positionOf(own.seq));
  if (shown === undefined) return refuse('PROOF_INCOMPLETE', `expected the event at ${own.seq}`);
  const held = theirs.event(shown);
  if (!held.ok) return held;
  if (held.value.digest === own.digest)
    return refuse('PROOF_NO_CONTRADICTION', `head and event say the same of position ${own.seq}`, { got: own.digest });
  const { seq, digest: told } = own;
  return accept({
    statement: digest,
    contradiction: { kind: 'false-head', seq, held: held.value.digest, told, at: time },
    keys: distinct(key, held.value.key),
  });
}

function judgeNote(
  names: LedgerNames,
  theirs: ShownLedger,
  { digest, key }: Message,
  { note, time }: Said<'checkpoint'>,
): Checked<Convinced, ProofCode> {
  const keys = theirs.keys().map(({ publicKey }) => publicKey);
  const opened = openCheckpoint(new TextEncoder().encode(note), names, keys);
  if (!opened.ok) return refuse('PROOF_NOT_SIGNED', `${opened.code}: ${opened.text}`, opened);
  const { size, root } = opened.value;
  const links = theirs.upTo(size);
  if (!links.ok) return links;
  const [held, told] = [digestOf(merkleRoot(links.value.map(({ bytes }) => eventLeaf(bytes)))), digestOf(root)];
  if (held === told) return refuse('PROOF_NO_CONTRADICTION', `the checkpoint is of these ${size} events`, { got: told });
  return accept({
    statement: digest,
    contradiction: { kind: 'false-checkpoint', size, held, told, at: time },
    keys: [key],
  });
}

type Citing = { readonly theirs: ShownLedger; readonly said: SignedEvent; readonly audienceLedger: 'as shown' | 'whole' };

function judgeCauses(
  proof: Proof,
  rules: ProofRules,
  { theirs, said: { placement, digest, key }, audienceLedger }: Citing,
): Checked<Convinced, ProofCode> {
  const { accused, audience, audienceEvents } = proof;
  const shown = audienceEvents.length;
  if (shown === 0) return refuse('PROOF_INCOMPLETE', `expected the ledger that ${audience} signed`);
  const links = openShownLedger({ publisher: audience, audience: accused }, audienceEvents, rules).upTo(shown);
  if (!links.ok) return links;
  const known = new Set(links.value.map((link) => link.digest));
  const cause = placement.causes.find((cited) => !known.has(cited));
  if (cause === undefined) return refuse('PROOF_NO_CONTRADICTION', 'all that it cites is in the ledger of its audience');
  const acknowledged =
    audienceLedger === 'whole' ? accept(null) : judgeAcknowledgement(proof, theirs, placement.seq, links.value);
  if (!acknowledged.ok) return acknowledged;
  const contradiction = { kind: 'unknown-cause', seq: placement.seq, cause, shown } as const;
  return accept({ statement: digest, contradiction, keys: [key] });
}

/** The accused, once it had made the event at `seq`, signed that it holds no more of the audience's ledger than this. */
function judgeAcknowledgement(
  { accused, audience, acknowledgement }: Proof,
  theirs: ShownLedger,
  seq: Seq,
  links: readonly Link[],
): Checked<null, ProofCode> {
  const missing = refuse('PROOF_UNACKNOWLEDGED', `expected a signed head of ${accused} that covers its event ${seq}`);
  if (acknowledgement === undefined) return missing;
  const opened = openMessage({ publisher: accused, audience }, theirs, acknowledgement);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  if (message.kind !== 'head' && message.kind !== 'answer') return missing;
  const { own, received } = message;
  const shown = received === null ? undefined : links[positionOf(received.seq) - 1]?.digest;
  if (received !== null && shown !== received.digest)
    return refuse('PROOF_LEDGER_DISPUTED', `${accused} signed that it holds another event ${received.seq} of ${audience}`, {
      expected: received.digest,
      got: shown ?? 'nothing',
    });
  // An older head says nothing of what came between it and the event.
  return positionOf(own?.seq) >= positionOf(seq) ? accept(null) : missing;
}
