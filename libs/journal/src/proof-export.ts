import { PROOF_BYTES_MAX, PROOF_EVENTS_MAX, peerMessage, type TrustDomain } from '@carnet/events';
import {
  accept,
  type Checked,
  decodeCheckpoint,
  judgeProof,
  type Proof,
  type ProofCode,
  positionOf,
  refuse,
} from '@carnet/trust';
import { type SqlBool, sql } from 'kysely';
import { eventsIn, type JournalDb, type Ledger } from './ledgers.ts';
import { peek } from './peek.ts';
import { payloadOf } from './stored-event.ts';
import type { ProofRow } from './tables.ts';

export type ProofRefusal = ProofCode | 'PROOF_NONE';
type Between = { readonly self: TrustDomain; readonly peer: TrustDomain };

/**
 * What convicts a peer, with all that a third party needs to judge it. Of several the one that rests on our own word least, then the oldest: one
 * convicts. What convinces nobody but us (a peer that holds another event of ours: we might have told two) is no proof.
 */
export async function proofAgainst(db: JournalDb, { self, peer }: Between): Promise<Checked<Proof, ProofRefusal>> {
  const kept = await db
    .selectFrom('proofs')
    .selectAll()
    .where('peer', '=', peer)
    .orderBy('code', 'desc')
    .orderBy('noted_at')
    .orderBy('digest')
    .execute();
  let refused: Checked<Proof, ProofRefusal> = refuse('PROOF_NONE', `nothing is kept that convicts ${peer}`);
  for (const row of kept) {
    const proof = await assembled(db, { self, peer }, row);
    const judged = proof.ok ? judgeProof(proof.value, PLACED, 'whole') : proof;
    if (proof.ok && judged.ok) return proof;
    if (!judged.ok) refused = judged;
  }
  return refused;
}

/** Certificates were judged when the keys were introduced, and are again by whoever reads the proof: a peer that was revoked since stays convicted. */
const PLACED: Parameters<typeof judgeProof>[1] = {
  nowMs: Number.POSITIVE_INFINITY,
  validateChain: () => accept({ spkiVerifier: { verify: () => true } }),
};

async function assembled(db: JournalDb, { self, peer }: Between, row: ProofRow): Promise<Checked<Proof, ProofRefusal>> {
  const isCause = row.code === 'CAUSE_UNKNOWN';
  // Read before our ledger: what the peer had of us then is in what we read now.
  const head = isCause
    ? await db.selectFrom('peers').select('head_envelope').where('peer', '=', peer).executeTakeFirst()
    : undefined;
  const accusedEvents = await envelopes(db, { publisher: peer, audience: self }, neededOf(row.envelope));
  const audienceEvents = isCause ? await envelopes(db, { publisher: self, audience: peer }, sql`true`) : accept([]);
  const acknowledgement = head?.head_envelope ?? null;
  if (!accusedEvents.ok) return accusedEvents;
  if (!audienceEvents.ok) return audienceEvents;
  return accept({
    accused: peer,
    audience: self,
    code: isCause ? 'CAUSE_UNKNOWN' : 'LEDGER_FORK',
    statement: row.envelope,
    accusedEvents: accusedEvents.value,
    audienceEvents: audienceEvents.value,
    ...(acknowledgement === null ? {} : { acknowledgement }),
  });
}

/** Of the peer's ledger: what introduced its keys, and what the statement is to be compared with. */
function neededOf(statement: Uint8Array) {
  const { seq } = peek(statement);
  if (seq !== undefined) return sql<SqlBool>`(type = 'KeyAnnounced' or seq in (${positionOf(seq) - 1}, ${positionOf(seq)}))`;
  const message = peerMessage.safeParse(payloadOf(statement)).data;
  if (message?.kind === 'checkpoint') return sql<SqlBool>`(type = 'KeyAnnounced' or seq <= ${sizeOf(message.note)})`;
  const own = message !== undefined && 'own' in message ? message.own : undefined;
  return sql<SqlBool>`(type = 'KeyAnnounced' or seq = ${positionOf(own?.seq)})`;
}

function sizeOf(note: string): number {
  const decoded = decodeCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1));
  return decoded.ok ? decoded.value.size : 0;
}

/** Bytes that become a third more in base64; half of the file for each of both ledgers. */
const LEDGER_BYTES_MAX = (PROOF_BYTES_MAX / 2) * 0.7;

async function envelopes(
  db: JournalDb,
  ledger: Ledger,
  wanted: ReturnType<typeof sql<SqlBool>>,
): Promise<Checked<readonly Uint8Array[], 'PROOF_TOO_LARGE'>> {
  const { events, bytes } = await eventsIn(db, ledger)
    .select([sql<number>`count(*)`.as('events'), sql<number>`coalesce(sum(length(envelope)), 0)`.as('bytes')])
    .where(wanted)
    .executeTakeFirstOrThrow();
  if (Number(events) > PROOF_EVENTS_MAX || Number(bytes) > LEDGER_BYTES_MAX)
    return refuse('PROOF_TOO_LARGE', `it takes ${events} events of ${ledger.publisher} to ${ledger.audience}`);
  const rows = await eventsIn(db, ledger).select('envelope').where(wanted).orderBy('seq').execute();
  return accept(rows.map(({ envelope }) => envelope));
}
