import { type TrustDomain, unreachable } from '@carnet/events';
import { runChanges } from '@carnet/store';
import { accept, type Checked } from '@carnet/trust';
import { sql } from 'kysely';
import { takeCosigned } from '../checkpoints.ts';
import { openHeadFile } from '../head-file.ts';
import type { JournalOptions } from '../journal.ts';
import { ensureLedgers, type JournalTx, type Ledger } from '../ledgers.ts';
import { RECEIVE_BATCH_MAX } from '../limits.ts';
import { quarantine } from '../quarantine.ts';
import { journalChanges, type Tables } from '../tables.ts';
import type { ImportCode } from './codes.ts';
import { compareWithHeads } from './heads.ts';
import { place, refuseMissingCauses } from './place.ts';
import { type ExportCode, Undo } from './undo.ts';

/** What an export says, in its order: whose it is; each ledger, one after the other; cosigned checkpoints (C2SP notes). */
export type ExportPart =
  | { readonly kind: 'header'; readonly self: TrustDomain }
  | ({ readonly kind: 'event'; readonly envelope: Uint8Array } & Ledger)
  | { readonly kind: 'checkpoint'; readonly note: Uint8Array };

/** Ends only after the end line: an export that was cut is refused on the way. */
export type ExportParts = AsyncIterable<Checked<ExportPart, ExportCode>>;

export type ImportOptions = Pick<
  JournalOptions,
  'store' | 'self' | 'peers' | 'validateChain' | 'headDir' | 'openHeadFile' | 'clock' | 'log'
> & {
  /** Whose ledgers come in as well, and who is asked nothing before anything new is said: peers that were removed, and are gone. */
  readonly former?: readonly TrustDomain[];
  /** Events that this CSP told and that are nowhere here: they are asked of peers and bus instead of refused. */
  readonly acceptBehind: boolean;
};

export type ImportedLedger = Ledger & { readonly events: number };
export type Imported = {
  readonly ledgers: readonly ImportedLedger[];
  /** Cosigned checkpoints that hold; others were signed with keys that have ended, and are left out. */
  readonly checkpoints: number;
  readonly checkpointsLeftOut: number;
  /** Own events beyond the export: in head files, and nowhere here. */
  readonly behind: readonly { readonly peer: TrustDomain; readonly kept: number; readonly told?: number }[];
};

/**
 * Fills an empty database with the ledgers of an export of this very CSP, or changes no row. Each event is judged as if it had just come.
 * Nothing is told on the word of an export, which may be old: own ledgers are quarantined, so that every peer is asked first.
 *
 * @throws JournalError HEAD_FILE_BROKEN; StoreError
 */
export async function importLedgers(
  options: ImportOptions,
  parts: ExportParts,
): Promise<Checked<Imported, ImportCode | ExportCode>> {
  await runChanges(options.store, journalChanges);
  const db = options.store.db.$extendTables<Tables>();
  try {
    return accept(await db.transaction().execute((tx) => fill(tx, options, parts)));
  } catch (cause) {
    if (cause instanceof Undo) return cause.refusal;
    throw cause;
  }
}

async function fill(tx: JournalTx, given: ImportOptions, parts: ExportParts): Promise<Imported> {
  const options = { ...given, peers: [...given.peers, ...(given.former ?? [])] };
  const { self, peers } = options;
  await refuseUsed(tx);
  await ensureLedgers(tx, self, peers);
  const notes = await placeAll(tx, options, parts);
  for (const peer of peers) await refuseMissingCauses(tx, self, peer);
  const checkpoints = await keepCheckpoints(tx, options, notes);
  const behind = await behindHeads(tx, options);
  await quarantine(tx, options, 'these ledgers come from an export');
  return { ledgers: await lengths(tx), checkpoints, checkpointsLeftOut: notes.length - checkpoints, behind };
}

/** Under locks that a broker which runs by mistake waits for. */
async function refuseUsed(tx: JournalTx): Promise<void> {
  await tx.selectFrom('ledgers').select('publisher').forUpdate().execute();
  for (const table of ['events', 'proofs', 'checkpoints'] as const) {
    const { rows } = await sql<{ readonly found: boolean }>`select exists (select 1 from ${sql.table(table)}) as found`.execute(
      tx,
    );
    if (rows[0]?.found === true) throw new Undo('IMPORT_DATABASE_USED', `it has ${table}`);
  }
}

/** Answers the checkpoints, which come last. */
async function placeAll(tx: JournalTx, options: ImportOptions, parts: ExportParts): Promise<readonly Uint8Array[]> {
  const notes: Uint8Array[] = [];
  let waiting: Waiting | undefined;
  const flush = async (): Promise<void> => {
    if (waiting !== undefined) await place(tx, options, waiting.ledger, waiting.envelopes);
    waiting = undefined;
  };
  for await (const part of parts) {
    if (!part.ok) throw new Undo(part);
    switch (part.value.kind) {
      case 'header':
        if (part.value.self !== options.self) throw new Undo('IMPORT_OTHER_CSP', part.value.self);
        break;
      case 'event': {
        const { publisher, audience, envelope } = part.value;
        if (waiting?.ledger.publisher !== publisher || waiting.ledger.audience !== audience) {
          await flush();
          waiting = { ledger: ledgerOf(options, { publisher, audience }), envelopes: [] };
        }
        waiting.envelopes.push(envelope);
        if (waiting.envelopes.length === RECEIVE_BATCH_MAX) await flush();
        break;
      }
      case 'checkpoint':
        notes.push(part.value.note);
        break;
      default:
        unreachable(part.value);
    }
  }
  await flush();
  return notes;
}
type Waiting = { readonly ledger: Ledger; readonly envelopes: Uint8Array[] };

function ledgerOf({ self, peers }: ImportOptions, ledger: Ledger): Ledger {
  const peer = ledger.publisher === self ? ledger.audience : ledger.publisher;
  if (!peers.includes(peer) || (ledger.audience !== self && ledger.publisher !== self))
    throw new Undo('IMPORT_PEER_UNCONFIGURED', `from ${ledger.publisher} to ${ledger.audience}`);
  return ledger;
}

/** How many hold. One of a key that has ended since says nothing here; the next checkpoint covers what it covered. */
async function keepCheckpoints(tx: JournalTx, { self, peers }: ImportOptions, notes: readonly Uint8Array[]): Promise<number> {
  const ledgers = peers.flatMap((peer) => [
    { publisher: self, audience: peer },
    { publisher: peer, audience: self },
  ]);
  let kept = 0;
  for (const note of notes)
    for (const ledger of ledgers) {
      const taken = await takeCosigned(tx, ledger, note);
      if (!taken.ok) continue;
      if (taken.value.kind === 'ahead' || taken.value.kind === 'contradiction')
        throw new Undo(
          'IMPORT_CHECKPOINT_CONTRADICTED',
          `from ${ledger.publisher} to ${ledger.audience}, ${taken.value.size} events`,
        );
      kept += 1;
    }
  return kept;
}

async function behindHeads(tx: JournalTx, options: ImportOptions): Promise<Imported['behind']> {
  const { self, peers, former = [], headDir, openHeadFile: open = openHeadFile, acceptBehind } = options;
  const behind: Imported['behind'][number][] = [];
  for (const peer of peers) {
    const beyond = await compareWithHeads(tx, self, peer, await open(headDir, peer, 'head'));
    // Of a peer that is gone nobody brings home what the head file has: it may say that a VM has left.
    const isGone = former.includes(peer) && beyond.kept > 0;
    if ((beyond.told !== undefined || isGone) && !acceptBehind)
      throw new Undo(
        'IMPORT_HEADS_BEYOND',
        `to ${peer}, ${beyond.told === undefined ? `${beyond.kept} events` : `event ${beyond.told}`}`,
      );
    if (beyond.kept > 0 || beyond.told !== undefined) behind.push({ peer, ...beyond });
  }
  return behind;
}

async function lengths(tx: JournalTx): Promise<readonly ImportedLedger[]> {
  const rows = await tx
    .selectFrom('ledgers')
    .select(['publisher', 'audience', 'head_seq'])
    .orderBy('publisher')
    .orderBy('audience')
    .execute();
  return rows.map(({ publisher, audience, head_seq }) => ({ publisher, audience, events: head_seq }));
}
