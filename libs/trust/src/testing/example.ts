import { type AdmissionContext, admit, type LedgerState } from '@carnet/trust';

/** Replays what a peer published, in order: the ledger as it stands, and the first thing that was not in order. */
export function replay(start: LedgerState, envelopes: readonly Uint8Array[], ctx: AdmissionContext) {
  let state = start;
  const voids: string[] = [];
  for (const bytes of envelopes) {
    const admission = admit(state, bytes, ctx);
    if (admission.kind === 'repeat') continue;
    if (admission.kind !== 'placed') return { state, voids, stopped: admission };
    state = admission.state;
    if (admission.voidCode !== undefined) voids.push(`${admission.payload.seq} ${admission.voidCode}`);
  }
  return { state, voids, stopped: undefined };
}
