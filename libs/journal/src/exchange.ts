import { type Digest, type PeerMessage, type TrustDomain, unreachable } from '@carnet/events';
import { accept, type Checked, type CheckpointCode, positionOf, refuse, seqOf } from '@carnet/trust';
import { nextCheckpoint, takeCosigned, witness } from './checkpoints.ts';
import { JOURNAL_CODES } from './codes.ts';
import { type Doubt, isInDoubt, judgeAnswer, type Surroundings, wasNeverTold } from './doubt.ts';
import { timeOf } from './draft.ts';
import type { JournalParts } from './journal.ts';
import { eventsIn, headOf, readLedger, stateOf } from './ledgers.ts';
import { NONCE_BYTES, RESEND_MAX } from './limits.ts';
import { type MessageRefusalCode, openMessage, signMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { judgeHead } from './peer-head.ts';
import { convict } from './proofs.ts';
import { quarantine } from './quarantine.ts';
import { isCutOff } from './standing.ts';
import { type StrangersMessage, strangersMessage } from './strangers.ts';

export type Question = 'ask' | 'challenge';

/** What a peer's message calls for. */
export type Heard = {
  /** To send back, in order: signed messages and envelopes, each vouching for itself. */
  readonly replies: readonly Uint8Array[];
  /** Which question they answer, if it was one. */
  readonly to?: Question;
  /** `behind`: its ledger goes further than what we hold of it. */
  readonly received: 'behind' | 'level';
};

/** The conversation with one peer about both ledgers: what we say, and what follows from what it says. */
export type Exchange = {
  /** Nothing before our first event: the peer could not verify it. */
  readonly head: () => Promise<readonly Uint8Array[]>;
  readonly ask: () => Promise<Uint8Array>;
  /**
   * Our head, so that the peer knows from where on to re-send, and a challenge. Nothing when there is no doubt: no quarantine,
   * no unknown cause, and what we told was acknowledged since the last look.
   */
  readonly challengeIfInDoubt: () => Promise<readonly Uint8Array[]>;
  readonly hear: (message: Uint8Array) => Promise<Checked<Heard, MessageRefusalCode | CheckpointCode>>;
  /** Our ledger to the peer as far as it has acknowledged it, for it to cosign. Nothing when nothing is new, or in doubt. */
  readonly checkpoint: () => Promise<readonly Uint8Array[]>;
  /** The peer signed that its ledger goes further than we hold. */
  readonly isBehind: () => Promise<boolean>;
};

export function openExchange(parts: JournalParts, peer: TrustDomain, outbox: Outbox, { onBus, isHeld }: Surroundings): Exchange {
  const { options, db } = parts;
  const { self, clock, random } = options;
  const sign = (message: PeerMessage): Uint8Array => signMessage(message, options.signing().signer);
  const theirs = { publisher: peer, audience: self };
  const ours = { publisher: self, audience: peer };
  const address = () => ({ from: self, to: peer, time: timeOf(clock.nowMs()) });
  // The nonce lives in memory only: one from a restored database could be met by an old answer.
  const state: Doubt & { claimed: number } = {
    nonce: undefined,
    claimed: 0,
    answeredFreeze: undefined,
    coveredAtLastLook: -1,
    unread: undefined,
    owed: undefined,
  };

  const said = async () => {
    const own = await outbox.tellableHead();
    const received = headOf(await readLedger(db, theirs));
    return {
      ...address(),
      own: own === undefined ? null : { seq: seqOf(own.seq), digest: own.digest },
      received,
    };
  };
  const replyTo = async (asked: Extract<PeerMessage, { readonly kind: Question }>): Promise<readonly Uint8Array[]> => {
    if (asked.kind === 'ask') {
      const after = positionOf(asked.fromSeq) - 1;
      const events = await outbox.after(after, RESEND_MAX);
      return (events.length > 0 ? events : await outbox.again(after, RESEND_MAX)).map(({ envelope }) => envelope);
    }
    const answer = sign({ kind: 'answer', nonce: asked.nonce, ...(await said()) });
    return [answer, ...(await heldOf(parts, peer, state.claimed))];
  };
  const replyToStranger = async (message: StrangersMessage): Promise<readonly Uint8Array[]> => {
    switch (message.kind) {
      case 'ask':
      case 'challenge':
        return replyTo(message);
      case 'head':
        if (message.received === null) await introduceOurselves(parts, peer);
        return [];
      case 'answer':
        // What it claims of its own ledger nobody has verified: nothing waits for it.
        if (message.nonce === state.nonce && message.received === null && (await wasNeverTold(parts, peer, onBus)))
          await judgeAnswer(parts, peer, { own: null, received: null }, state, { onBus, isHeld });
        return [];
      default:
        return unreachable(message);
    }
  };
  const signedHead = async (): Promise<Uint8Array> => sign({ kind: 'head', ...(await said()) });

  return {
    head: async () => {
      const ends = await said();
      return ends.own === null ? [] : [sign({ kind: 'head', ...ends })];
    },
    ask: async () => {
      const row = await readLedger(db, theirs);
      const fromSeq = seqOf(row.head_seq + 1);
      return sign({ kind: 'ask', ...address(), fromSeq });
    },
    challengeIfInDoubt: async () => {
      if (!(await isInDoubt(parts, peer, state))) return [];
      state.nonce ??= Buffer.from(random(NONCE_BYTES)).toString('base64');
      const challenge = { kind: 'challenge', ...address(), nonce: state.nonce } as const;
      return [await signedHead(), sign(challenge)];
    },
    checkpoint: async () => {
      const note = await nextCheckpoint(db, ours, options.signing().signer);
      return note === undefined ? [] : [sign({ kind: 'checkpoint', ...address(), note: textOf(note) })];
    },
    hear: async (bytes) => {
      const row = await readLedger(db, theirs);
      const known = stateOf(row);
      const opened = openMessage(bytes, known, clock.nowMs());
      const strange = !opened.ok && opened.code === 'PEER_UNANNOUNCED' ? strangersMessage(bytes, known) : undefined;
      if (strange !== undefined)
        return accept({ replies: await replyToStranger(strange), received: 'behind', ...questionOf(strange) });
      if (!opened.ok) return opened;
      if (isCutOff(await parts.standing(db, peer, row))) return refuse('PEER_REVOKED', JOURNAL_CODES.PEER_REVOKED.text);
      const { message, digest } = opened.value;
      switch (message.kind) {
        case 'head':
          state.claimed = positionOf(message.own?.seq);
          await judgeHead(parts, peer, message, { bytes, digest });
          if (message.received === null) await introduceOurselves(parts, peer);
          break;
        case 'ask':
        case 'challenge':
          return accept({ replies: await replyTo(message), received: 'level', ...questionOf(message) });
        case 'checkpoint': {
          const cosigned = await judgeCheckpoint(parts, peer, message.note, { bytes, digest });
          if (!cosigned.ok) return cosigned;
          const replies = cosigned.value.map((note) => sign({ kind: 'cosigned', ...address(), note: textOf(note) }));
          return accept({ replies, received: 'level' });
        }
        case 'cosigned': {
          const judged = await judgeCosigned(parts, peer, message.note);
          if (!judged.ok) return judged;
          break;
        }
        case 'answer':
          if (message.nonce !== state.nonce) return { ok: false, code: 'CHALLENGE_UNKNOWN', text: 'expected an open nonce' };
          await judgeHead(parts, peer, message, { bytes, digest });
          await judgeAnswer(parts, peer, message, state, { onBus, isHeld });
          break;
      }
      return accept({ replies: [], received: (await isBehind(parts, peer)) ? 'behind' : 'level' });
    },
    isBehind: () => isBehind(parts, peer),
  };
}

const questionOf = ({ kind }: { readonly kind: PeerMessage['kind'] }): Pick<Heard, 'to'> =>
  kind === 'ask' || kind === 'challenge' ? { to: kind } : {};

const textOf = (note: Uint8Array): string => Buffer.from(note).toString('utf8');

/** The peer's word about its whole ledger to us: cosigned if it is what we hold, else kept as proof. */
async function judgeCheckpoint(
  parts: JournalParts,
  peer: TrustDomain,
  note: string,
  signed: { readonly bytes: Uint8Array; readonly digest: Digest },
): Promise<Checked<readonly Uint8Array[], CheckpointCode>> {
  const { db, options } = parts;
  const { self, clock, log } = options;
  const by = { signer: options.signing().signer, nowMs: clock.nowMs() };
  const judged = await witness(db, { publisher: peer, audience: self }, Buffer.from(note), by);
  if (!judged.ok) return judged;
  switch (judged.value.kind) {
    case 'cosigned':
      return accept([judged.value.note]);
    case 'behind':
      return accept([]);
    case 'contradiction': {
      const { held, told, size } = judged.value;
      log.error({ code: 'LEDGER_FORK', peer, size, held, got: told }, 'a signed checkpoint contradicts what is placed');
      const conviction = { self, peer, code: 'LEDGER_FORK' as const, digests: [held, told], envelope: signed.bytes };
      await db.transaction().execute((tx) => convict(tx, { ...conviction, digest: signed.digest, nowMs: clock.nowMs() }));
      return accept([]);
    }
    default:
      return unreachable(judged.value);
  }
}

/** The peer's cosignature of our ledger. What it cosigned and we do not hold, we once signed: this database was restored. */
async function judgeCosigned(
  { db, options }: JournalParts,
  peer: TrustDomain,
  note: string,
): Promise<Checked<null, CheckpointCode>> {
  const judged = await takeCosigned(db, { publisher: options.self, audience: peer }, Buffer.from(note));
  if (!judged.ok) return judged;
  switch (judged.value.kind) {
    case 'kept':
    case 'known':
      break;
    case 'ahead':
    case 'contradiction':
      await quarantine(db, options, `${peer} cosigned our checkpoint of ${judged.value.size} events, which is not what is here`);
      break;
    default:
      unreachable(judged.value);
  }
  return accept(null);
}

/**
 * The peer said that it holds nothing of ours, so our ledger may begin: our heads acknowledge its events only once it knows our
 * key. Never begun without such a word: an empty database may be one that was lost. A stranger's word, which the bus could forge,
 * does: without it two that were never introduced wait for each other, and with it nothing is begun that our head file knows of.
 */
async function introduceOurselves({ db, options, appenders }: JournalParts, peer: TrustDomain): Promise<void> {
  const row = await readLedger(db, { publisher: options.self, audience: peer });
  if (row.head_digest === null) await appenders.get(peer)?.(async () => ({ drafts: [], announce: true, value: null }));
}

async function isBehind({ db, options }: JournalParts, peer: TrustDomain): Promise<boolean> {
  const row = await db
    .selectFrom('ledgers')
    .innerJoin('peers', 'peers.peer', 'ledgers.publisher')
    .select(['head_seq', 'own_seq'])
    .where('publisher', '=', peer)
    .where('audience', '=', options.self)
    .executeTakeFirst();
  return row !== undefined && row.own_seq > row.head_seq;
}

/** What we hold of the peer's own ledger after the position that it said it has. */
async function heldOf({ db, options }: JournalParts, peer: TrustDomain, afterSeq: number): Promise<readonly Uint8Array[]> {
  const rows = await eventsIn(db, { publisher: peer, audience: options.self })
    .select('envelope')
    .where('seq', '>', afterSeq)
    .orderBy('seq')
    .limit(RESEND_MAX)
    .execute();
  return rows.map(({ envelope }) => envelope);
}
