import { eventually } from '@carnet/dev';
import { afterAll, expect } from 'vitest';
import { ledgerRows, type Row, rowsOf } from '../faults/harness/ledger-db.ts';
import type { Vm } from '../faults/harness/moves.ts';
import { foldedAt } from './fold.ts';
import { clouds, truthOfA } from './rig.ts';
import { digestOf, type Payload, payloadOf, type Rogue, rogueAfterMove } from './rogue-peer.ts';

/** B of the shared rig once it has turned. */
export let rogue: Rogue;
/** A VM that stays at A. */
export let stays: Vm;

let turned: Promise<void> | undefined;

/** From here on B's broker is the rogue's: whatever needs an honest B has run before. */
export function turnRogue(): Promise<void> {
  turned ??= (async () => {
    ({ rogue, stays } = await rogueAfterMove(clouds));
  })();
  return turned;
}

afterAll(() => rogue?.close());

const rowAtA = (wanted: (row: Row) => boolean): Promise<Row | undefined> =>
  ledgerRows(clouds.a.database).then((rows) => rows.find(wanted));

/** Says it on the bus; answers its digest once A has placed it. */
export async function say(payload: Payload): Promise<string> {
  const shot = rogue.sign(payload);
  await rogue.fire(shot);
  await eventually('the placed event', () => rowAtA(({ digest }) => digest === digestOf(shot)), 10_000);
  return digestOf(shot);
}

export type Said = { readonly digest: string; readonly payload: Payload; readonly data: Payload };

/** What A says of this type in this migration. */
export async function heard(migration: string, type: string): Promise<Said> {
  const { digest } = await eventually(
    `A’s ${type} in ${migration}`,
    () => rowAtA((row) => row.publisher === clouds.a.plan.domain && row.migration === migration && row.type === type),
    15_000,
  );
  const [row] = await rowsOf<{ readonly envelope: Uint8Array }>(
    clouds.a.database,
    'select envelope from events where digest = $1',
    [digest],
  );
  const payload = payloadOf(row?.envelope ?? new Uint8Array());
  return { digest, payload, data: payload['data'] as Payload };
}

/** Placed, since B signed it; void for everyone; A says nothing to it, and its keys, VMs and the fold are as before. */
export async function isVoid(payload: Payload, code: string, vm: string): Promise<void> {
  const state = async () => {
    const { events, ledgers: _heads, ...rest } = await truthOfA();
    const ours = events.filter(({ publisher }) => publisher === clouds.a.plan.domain);
    return { ...rest, ours, journey: (await foldedAt(clouds.a, vm)).journey };
  };
  const before = await state();
  const digest = await say(payload);
  expect((await foldedAt(clouds.a, vm)).voids.get(digest)).toBe(code);
  expect(await state()).toEqual(before);
}
