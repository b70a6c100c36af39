import { type Refusal, refuse } from '@carnet/trust';
import { sql } from 'kysely';
import type { AppendCode } from './codes.ts';
import type { JournalDb, JournalTx } from './ledgers.ts';
import { APPEND_GROUP_MAX, APPEND_QUEUE_MAX } from './limits.ts';
import type { Notice } from './notices.ts';
import { type AppendOutcome, type LedgerWriter, openWriter, type Plan, type WriterPorts } from './writer.ts';

/** A caller that waits for the head lock. */
type Waiting = {
  readonly run: (writer: LedgerWriter) => Promise<'decided' | 'undone'>;
  /** After the commit. */
  readonly decided: () => void;
  readonly refused: (refusal: Refusal<AppendCode>) => void;
  readonly failed: (cause: unknown) => void;
};

export type AppenderPorts = WriterPorts & {
  /** Told of each commit, before its callers are. */
  readonly committed: (placed: readonly Notice[]) => void;
  /** The database was found behind the durable head. */
  readonly foundBehind: () => Promise<void>;
};

export type Appender = <T>(plan: Plan<T>) => Promise<AppendOutcome<T>>;

/**
 * Appends to our ledger to one peer. Callers that come while a transaction is under way share the next one: the head lock
 * would make them wait for each other anyway, and one commit is one fsync. Each plan has a savepoint; what one of them
 * throws is its own.
 */
export function openAppender(db: JournalDb, ports: AppenderPorts): Appender {
  const queue: Waiting[] = [];
  let busy = false;

  const drain = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      for (let group = queue.splice(0, APPEND_GROUP_MAX); group.length > 0; group = queue.splice(0, APPEND_GROUP_MAX))
        await decideTogether(db, ports, group);
    } finally {
      busy = false;
    }
  };

  return <T>(plan: Plan<T>) =>
    new Promise<AppendOutcome<T>>((resolve, reject) => {
      if (queue.length >= APPEND_QUEUE_MAX) {
        resolve(refuse('APPEND_OVERLOADED', `${queue.length} appends wait for the ledger to ${ports.audience}`));
        return;
      }
      let outcome: AppendOutcome<T> | undefined;
      queue.push({
        run: async (writer) => {
          outcome = await writer.run(plan);
          if (outcome.ok) return 'decided';
          resolve(outcome);
          return 'undone';
        },
        decided: () => {
          if (outcome !== undefined) resolve(outcome);
        },
        refused: resolve,
        failed: reject,
      });
      void drain();
    });
}

async function decideTogether(db: JournalDb, ports: AppenderPorts, group: readonly Waiting[]): Promise<void> {
  let result: GroupResult;
  try {
    result = await inOneTransaction(db, ports, group);
    if (result.foundBehind) await ports.foundBehind();
  } catch (cause) {
    // A caller that was told already ignores this.
    for (const waiting of group) waiting.failed(cause);
    return;
  }
  const { refusal, placed, decided } = result;
  if (placed.length > 0) ports.committed(placed);
  if (refusal !== undefined) for (const waiting of group) waiting.refused(refusal);
  for (const waiting of decided) waiting.decided();
}

type GroupResult = Pick<LedgerWriter, 'refusal' | 'foundBehind'> & {
  readonly decided: readonly Waiting[];
  readonly placed: readonly Notice[];
};

async function inOneTransaction(db: JournalDb, ports: WriterPorts, group: readonly Waiting[]): Promise<GroupResult> {
  const tx = await db.startTransaction().execute();
  try {
    const writer = await openWriter(tx, ports);
    const { refusal, foundBehind } = writer;
    const decided: Waiting[] = [];
    if (refusal === undefined)
      for (const waiting of group) if (await runAlone(tx, writer, waiting, group.length)) decided.push(waiting);
    const placed = decided.length > 0 ? await writer.finish() : [];
    // Nothing decided: whatever an undone plan wrote without a savepoint must not stay.
    await (decided.length > 0 ? tx.commit() : tx.rollback()).execute();
    return { refusal, foundBehind, decided, placed };
  } catch (cause) {
    // The first cause counts; a rollback on a dead connection fails too, and the server has rolled back already.
    if (!tx.isCommitted && !tx.isRolledBack) await rollbackQuietly(tx);
    throw cause;
  }
}

const rollbackQuietly = (tx: { readonly rollback: () => { readonly execute: () => Promise<void> } }): Promise<void> =>
  tx
    .rollback()
    .execute()
    .catch(() => undefined);

/** One plan of a group, under a savepoint unless it is the only one. True: it decided. */
async function runAlone(tx: JournalTx, writer: LedgerWriter, waiting: Waiting, groupSize: number): Promise<boolean> {
  const before = writer.state();
  if (groupSize > 1) await sql`savepoint plan`.execute(tx);
  let result: 'decided' | 'undone';
  try {
    result = await waiting.run(writer);
  } catch (cause) {
    waiting.failed(cause);
    result = 'undone';
  }
  if (result === 'undone') writer.rewind(before);
  if (groupSize > 1) await (result === 'undone' ? sql`rollback to savepoint plan` : sql`release savepoint plan`).execute(tx);
  return result === 'decided';
}
