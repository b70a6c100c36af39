import type { Handover } from '../context.ts';
import type { KeyPorts } from '../ports.ts';
import type { Held } from '../records/holding.ts';
import type { KeysTx } from '../records/tables.ts';
import { recordUses } from '../uses/chain.ts';

/** The grant of a hand-over is the migration itself: its events were judged before, and its rows are locked by the caller. */
export const recordHandingOver = (
  ports: KeyPorts,
  tx: KeysTx,
  operation: 'deposit' | 'release' | 'import',
  { vm, migration, epoch, source, target }: Handover,
  held: readonly Held[],
): Promise<void> =>
  recordUses(
    tx,
    ports.now(),
    held.map(({ record }) => ({
      of: record,
      operation,
      principal: ports.actor,
      context: { vm, migration, epoch, peer: operation === 'import' ? source : target },
      reason: 'MIGRATION',
    })),
  );
