import type { Digest, Seq, TrustDomain } from '@carnet/events';
import type { AdmissionContext, LedgerState } from '@carnet/trust';
import { type SqlBool, sql } from 'kysely';
import { coveredBy } from './covered.ts';
import type { JournalTx } from './ledgers.ts';
import type { Peek } from './peek.ts';
import type { ChainValidator, ChainVerdict } from './ports.ts';

/** What admission asks about, fetched in one statement for a whole batch and kept up to date while the batch is placed. */
export type Lookups = {
  readonly context: (subject: string | undefined, nowMs: number) => AdmissionContext;
  readonly isPlaced: (digest: Digest) => boolean;
  readonly placed: (digest: Digest, id: string, seq: Seq) => void;
};

export type LookupPorts = {
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
  /** Own events that come back cite what we may have lost as well: that they were signed by us is enough. */
  readonly causes: 'must-be-known' | 'taken-as-known';
  /** A head of this ledger whose signature was verified. */
  readonly signedHead: Digest | undefined;
  readonly validateChain: ChainValidator;
};

type Row = { readonly what: 'event' | 'cause'; readonly digest: Digest; readonly id: string; readonly seq: number };

export async function lookUp(tx: JournalTx, ports: LookupPorts, state: LedgerState, peeks: readonly Peek[]): Promise<Lookups> {
  const rows = await relevantRows(tx, ports, state, peeks);
  const events = rows.filter(({ what }) => what === 'event');
  const digests = new Set(events.map(({ digest }) => digest));
  const ids = new Set(events.map(({ id }) => id));
  const bySeq = new Map(events.map(({ seq, digest }) => [String(seq), digest]));
  const causes = new Set(rows.filter(({ what }) => what === 'cause').map(({ digest }) => digest));
  const chains = await chainVerdicts(ports, digests, peeks);
  const covered = ports.signedHead === undefined ? undefined : coveredBy(ports.signedHead, peeks);
  return {
    isPlaced: (digest) => digests.has(digest),
    placed: (digest, id, seq) => {
      digests.add(digest);
      ids.add(id);
      bySeq.set(seq, digest);
    },
    context: (subject, nowMs) => ({
      ...(subject === undefined ? {} : { subject }),
      nowMs,
      hasId: (id) => ids.has(id),
      digestAt: (seq) => bySeq.get(seq),
      hasCause: (digest) => ports.causes === 'taken-as-known' || causes.has(digest),
      validateChain: (chain, _, at) =>
        chains.get(chainName(chain, at)) ?? { ok: false, code: 'CHAIN_NOT_PEEKED', text: 'not a readable key event' },
      ...(covered === undefined ? {} : { coveredByHead: (digest: Digest) => covered.has(digest) }),
    }),
  };
}

async function relevantRows(
  tx: JournalTx,
  ports: LookupPorts,
  state: LedgerState,
  peeks: readonly Peek[],
): Promise<readonly Row[]> {
  const { publisher, audience } = ports;
  const seqs = peeks.flatMap(({ seq }) => seq ?? []);
  const ids = peeks.flatMap(({ id }) => id ?? []);
  const causes = [...new Set(peeks.flatMap((claimed) => claimed.causes))];
  const head = Number(state.head?.seq ?? 0);
  // What follows the head can only repeat an id; only what lies at or below it needs the position.
  const below = seqs.filter((seq) => Number(seq) <= head).map(Number);
  const inLedger = sql<SqlBool>`publisher = ${publisher} and audience = ${audience}`;
  const { rows } = await sql<Row>`
    select 'event' as what, digest, id, seq from events where ${inLedger} and id in (${list(ids)})
    union all
    select 'event', digest, id, seq from events where ${inLedger} and seq in (${list(below)})
    union all
    select 'cause', digest, '', 0 from events
      where publisher = ${audience} and audience = ${publisher} and digest in (${list(causes)})`.execute(tx);
  return rows;
}

/** `in ()` is no SQL; an empty list becomes one that matches nothing. */
const list = (values: readonly (string | number)[]) => (values.length === 0 ? sql`null` : sql.join(values));

const chainName = (chain: readonly string[], at: string): string => `${at} ${chain.join()}`;

async function chainVerdicts(
  ports: LookupPorts,
  placed: ReadonlySet<Digest>,
  peeks: readonly Peek[],
): Promise<ReadonlyMap<string, ChainVerdict>> {
  const verdicts = new Map<string, ChainVerdict>();
  for (const { chain, time, digest } of peeks) {
    if (chain === undefined || time === undefined || placed.has(digest)) continue;
    verdicts.set(chainName(chain, time), await ports.validateChain(chain, ports.publisher, time));
  }
  return verdicts;
}
