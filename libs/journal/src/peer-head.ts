import type { Digest, HeadPosition, PeerMessage, TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import { timeOf } from './draft.ts';
import type { JournalParts } from './journal.ts';
import { convict } from './proofs.ts';
import { digestAt, quarantine } from './quarantine.ts';

type Said = Extract<PeerMessage, { readonly own: HeadPosition }>;

/** What the peer holds of us, and what its own ledger has come to: kept as its acknowledgement, and compared with what we hold. */
export async function judgeHead(
  parts: JournalParts,
  peer: TrustDomain,
  message: Said,
  signed: { readonly bytes: Uint8Array; readonly digest: Digest },
): Promise<void> {
  const { db, options } = parts;
  const { self, clock } = options;
  const { own, received } = message;
  await db
    .updateTable('peers')
    .set((set) => ({
      heard_at: timeOf(clock.nowMs()),
      // The bus may bring an earlier head after a later one: what the peer has acknowledged once it must not be able to deny.
      head_envelope: set
        .case()
        .when(
          set.fn.coalesce(
            set.selectFrom('ledgers').select('covered_seq').where('publisher', '=', self).where('audience', '=', peer),
            set.val(0),
          ),
          '<=',
          positionOf(received?.seq),
        )
        .then(signed.bytes)
        .else(set.ref('head_envelope'))
        .end(),
      own_digest: set
        .case()
        .when('own_seq', '<', positionOf(own?.seq))
        .then(own?.digest ?? null)
        .else(set.ref('own_digest'))
        .end(),
      own_seq: set.fn<number>('greatest', ['own_seq', set.val(positionOf(own?.seq))]),
    }))
    .where('peer', '=', peer)
    .execute();
  if (own !== null) await compare(parts, peer, signed, await digestAt(db, peer, self, positionOf(own.seq)), own);
  if (received === null) return;
  const ours = await digestAt(db, self, peer, positionOf(received.seq));
  if (ours === undefined) {
    await quarantine(db, options, `${peer} signed that it holds our event ${received.seq}, which is not here`);
    return;
  }
  if (!(await compare(parts, peer, signed, ours, received))) return;
  await db
    .updateTable('ledgers')
    .set({ covered_seq: positionOf(received.seq) })
    .where('publisher', '=', self)
    .where('audience', '=', peer)
    .where('covered_seq', '<', positionOf(received.seq))
    .execute();
  await parts.headFiles.get(peer)?.covered(received);
}

/** Its signed word against what is placed: a difference is a fork, and the message is the proof. */
async function compare(
  { db, options }: JournalParts,
  peer: TrustDomain,
  { bytes, digest }: { readonly bytes: Uint8Array; readonly digest: Digest },
  held: Digest | undefined,
  told: { readonly seq: string; readonly digest: Digest },
): Promise<boolean> {
  if (held === undefined || held === told.digest) return true;
  const { self, clock, log } = options;
  log.error({ code: 'LEDGER_FORK', peer, seq: told.seq, held, got: told.digest }, 'a signed head contradicts what is placed');
  const conviction = { self, peer, code: 'LEDGER_FORK' as const, digests: [held, told.digest], envelope: bytes, digest };
  await db.transaction().execute((tx) => convict(tx, { ...conviction, nowMs: clock.nowMs() }));
  return false;
}
