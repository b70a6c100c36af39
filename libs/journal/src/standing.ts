import { type Digest, event, type Timestamp, type TrustDomain } from '@carnet/events';
import { type AnnouncedKey, isIntroduction, type LedgerState, positionOf, seqOf } from '@carnet/trust';
import { coveredBy } from './covered.ts';
import type { EarlyEvent } from './early.ts';
import { eventsIn, type JournalDb, type Ledger, readLedger, type StoredLedger } from './ledgers.ts';
import type { Lookups } from './lookups.ts';
import { type ChainValidator, type ChainVerdict, REVOKED } from './ports.ts';
import { payloadOf } from './stored-event.ts';

/**
 * Whether a CSP is still who it was when it last introduced an event key: that introduction's chain, judged with the revocation
 * lists of now. `undefined`: it has not introduced itself yet. `ledger`: its ledger to us, if it was just read.
 */
export type Standing = (
  db: JournalDb,
  publisher: TrustDomain,
  ledger?: Pick<StoredLedger, 'keys'>,
) => Promise<ChainVerdict | undefined>;

type Introduced = { readonly at: string; readonly chain: readonly string[]; readonly time: Timestamp };

export function openStanding(self: TrustDomain, validateChain: ChainValidator): Standing {
  const introduced = new Map<TrustDomain, Introduced>();
  return async (db, publisher, read) => {
    const ledger = { publisher, audience: self };
    const newest = newestKey((read ?? (await readLedger(db, ledger))).keys);
    if (newest === undefined) return undefined;
    // Events stay: what was read once of a position is true for ever.
    const known = introduced.get(publisher);
    const said = known?.at === newest.from ? known : (await introductionsAt(db, ledger, [newest.from]))[0];
    if (said === undefined) return undefined;
    introduced.set(publisher, said);
    return validateChain(said.chain, publisher, said.time);
  };
}

export const isCutOff = (verdict: ChainVerdict | undefined): boolean =>
  verdict !== undefined && !verdict.ok && verdict.code === REVOKED;

const newestKey = (keys: readonly AnnouncedKey[]): AnnouncedKey | undefined =>
  keys.toSorted((a, b) => positionOf(b.from) - positionOf(a.from))[0];

/** With which chains (leaf first, base64 DER) a CSP has introduced its event keys to us, the newest first. None: it has not yet. */
export async function introductionsOf(
  db: JournalDb,
  self: TrustDomain,
  publisher: TrustDomain,
): Promise<readonly (readonly string[])[]> {
  const ledger = { publisher, audience: self };
  const { keys } = await readLedger(db, ledger);
  return (
    await introductionsAt(
      db,
      ledger,
      keys.map(({ from }) => from),
    )
  ).map(({ chain }) => chain);
}

/** The newest first. */
async function introductionsAt(
  db: JournalDb,
  ledger: Ledger,
  positions: readonly AnnouncedKey['from'][],
): Promise<readonly Introduced[]> {
  if (positions.length === 0) return [];
  const rows = await eventsIn(db, ledger)
    .select(['seq', 'envelope'])
    .where('seq', 'in', positions.map(positionOf))
    .orderBy('seq', 'desc')
    .execute();
  return rows.flatMap(({ seq, envelope }) => {
    const said = event.safeParse(payloadOf(envelope)).data;
    return said?.type === 'KeyAnnounced' ? [{ at: seqOf(seq), chain: said.data.chain, time: said.time }] : [];
  });
}

/** Of a peer that is cut off: what may be placed all the same. */
export type Vouched = { readonly vouchers: ReadonlySet<Digest>; readonly covered: ReadonlySet<Digest> };

/**
 * A revoked certificate is replaced by introducing a new key under a good one. Whoever holds the good one vouches, through the
 * hash chain, for all that its ledger holds before: so those events are placed as well, and nothing that does not lead there.
 */
export function vouchedFor(state: LedgerState, events: readonly EarlyEvent[], lookups: Lookups, nowMs: number): Vouched {
  const context = lookups.context(undefined, nowMs);
  const sound = events.filter(
    ({ peek, delivery }) => peek.chain !== undefined && isIntroduction(state, delivery.envelope, context),
  );
  const peeks = events.map(({ peek }) => peek);
  const covered = sound.flatMap(({ peek }) => [...coveredBy(peek.digest, peeks)]);
  return { vouchers: new Set(sound.map(({ peek }) => peek.digest)), covered: new Set(covered) };
}
