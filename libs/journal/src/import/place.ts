import type { TrustDomain } from '@carnet/events';
import { type Admission, admit, type LedgerState, positionOf } from '@carnet/trust';
import { timeOf } from '../draft.ts';
import { advanceLedger, eventsIn, type JournalTx, type Ledger, readLedger, stateOf } from '../ledgers.ts';
import { RECEIVE_BATCH_MAX } from '../limits.ts';
import { lookUp } from '../lookups.ts';
import { peek } from '../peek.ts';
import type { ChainValidator, Clock } from '../ports.ts';
import { eventRow } from '../stored-event.ts';
import { Undo } from './undo.ts';

export type PlacePorts = { readonly validateChain: ChainValidator; readonly clock: Clock };

/**
 * Places what follows of one ledger, judged as if it had just come: signature, key, chain, id, schema. What it relies on may stand
 * further down in the export, and is looked for at the end (`refuseMissingCauses`).
 */
export async function place(
  tx: JournalTx,
  { validateChain, clock }: PlacePorts,
  ledger: Ledger,
  envelopes: readonly Uint8Array[],
): Promise<void> {
  const causes = 'taken-as-known' as const;
  const nowMs = clock.nowMs();
  let state: LedgerState = stateOf(await readLedger(tx, ledger));
  const lookups = await lookUp(tx, { ...ledger, causes, signedHead: undefined, validateChain }, state, envelopes.map(peek));
  const rows = envelopes.map((envelope) => {
    const admission = admit(state, envelope, lookups.context(undefined, nowMs));
    if (admission.kind !== 'placed') throw new Undo('IMPORT_EVENT_REFUSED', refusalText(ledger, state, admission));
    state = admission.state;
    lookups.placed(admission.digest, admission.payload.id, admission.payload.seq);
    return eventRow({ ...admission, envelope }, timeOf(nowMs));
  });
  await tx.insertInto('events').values(rows).execute();
  await advanceLedger(tx, state);
}

function refusalText(
  { publisher, audience }: Ledger,
  { head }: LedgerState,
  admission: Exclude<Admission, { readonly kind: 'placed' }>,
): string {
  const why = admission.kind === 'refused' ? `${admission.code}: ${admission.text}` : admission.kind;
  return `from ${publisher} to ${audience}, after event ${positionOf(head?.seq)}: ${why}`;
}

/** Both ledgers of a pair stand: whatever one cites is in the other. Hash chains cannot cite in circles. */
export async function refuseMissingCauses(tx: JournalTx, self: TrustDomain, peer: TrustDomain): Promise<void> {
  await refuseCausesMissing(tx, { publisher: self, audience: peer });
  await refuseCausesMissing(tx, { publisher: peer, audience: self });
}

async function refuseCausesMissing(tx: JournalTx, ledger: Ledger): Promise<void> {
  const other = { publisher: ledger.audience, audience: ledger.publisher };
  for (let after = 0; ; ) {
    const rows = await eventsIn(tx, ledger)
      .select(['seq', 'envelope'])
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(RECEIVE_BATCH_MAX)
      .execute();
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.seq;
    const missing = new Set(rows.flatMap(({ envelope }) => peek(envelope).causes));
    if (missing.size === 0) continue;
    const found = await eventsIn(tx, other)
      .select('digest')
      .where('digest', 'in', [...missing])
      .execute();
    for (const { digest } of found) missing.delete(digest);
    const [first] = missing;
    if (first !== undefined)
      throw new Undo('IMPORT_CAUSE_MISSING', `from ${ledger.publisher} to ${ledger.audience}, up to event ${last.seq}: ${first}`);
  }
}
