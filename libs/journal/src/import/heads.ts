import type { TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import { type HeadFile, headOfKept, type Kept } from '../head-file.ts';
import { headOf, type JournalTx, readLedger } from '../ledgers.ts';
import { peek } from '../peek.ts';
import { digestAt } from '../quarantine.ts';
import { Undo } from './undo.ts';

export type BeyondExport = {
  /** Events that the head file alone has; the broker's start brings them home. */
  readonly kept: number;
  /** The end of what was told, where neither has all that leads there. */
  readonly told?: number;
};

/** What the head file of our ledger to one peer says of an imported one. It is read only. */
export async function compareWithHeads(
  tx: JournalTx,
  self: TrustDomain,
  peer: TrustDomain,
  file: Pick<HeadFile, 'read'>,
): Promise<BeyondExport> {
  const kept = await file.read();
  const head = headOf(await readLedger(tx, { publisher: self, audience: peer }));
  const known = [...kept.events, ...(kept.told === null ? [] : [{ seq: positionOf(kept.told.seq), digest: kept.told.digest }])];
  for (const { seq, digest } of known)
    if (seq <= positionOf(head?.seq) && (await digestAt(tx, self, peer, seq)) !== digest)
      throw new Undo('IMPORT_HEADS_CONTRADICTED', `to ${peer}, event ${seq}`);
  const reached = follow(kept, positionOf(head?.seq), head?.digest, peer);
  const told = positionOf(headOfKept(kept)?.seq);
  const beyond = { kept: reached - positionOf(head?.seq) };
  return told > reached ? { ...beyond, told } : beyond;
}

/** How far the kept events lead from the end of the export. */
function follow({ events }: Kept, from: number, digest: string | undefined, peer: TrustDomain): number {
  let end = { seq: from, digest };
  for (const event of events) {
    if (event.seq !== end.seq + 1) continue;
    if (end.digest !== undefined && peek(event.envelope).prev !== end.digest)
      throw new Undo('IMPORT_HEADS_CONTRADICTED', `to ${peer}, event ${event.seq}`);
    end = event;
  }
  return end.seq;
}
