import type { Digest, PolicyAnnounced } from '@carnet/events';
import type { Journal, JourneyEnds } from '@carnet/journal';
import { describe, expect, it } from 'vitest';
import {
  CSP_A,
  CSP_B,
  CSP_C,
  digestOf,
  FIRST_EPOCH,
  intentData,
  migration,
  placed,
  START,
  VM,
} from '../../../libs/saga/src/testing.ts';
import { createLedgers } from './ledgers.ts';

const intent = {
  type: 'MigrationIntended',
  migration: migration(1),
  epoch: FIRST_EPOCH,
  causes: [],
  data: intentData('cold'),
} as const;
const EVENT = { ...placed(intent, CSP_A, CSP_B, 7, START), placement: { publisher: CSP_A, audience: CSP_B, seq: 7 } };

/** Over a journal that knows one intent to B, which is a peer no more, and nothing of C. */
function ledgersOver(keep: (peer: string, ends?: Partial<JourneyEnds>) => Promise<void>) {
  const eventsOfVm = async ({ peer }: { readonly peer: string }) => (peer === CSP_B ? [EVENT] : []);
  const journal = { peers: [CSP_C], peersOfVm: async () => [CSP_B], keep, eventsOfVm } as unknown as Journal;
  return createLedgers(journal, CSP_A, () => Date.parse(START), {} as PolicyAnnounced);
}

describe('the journeys of a VM, on which another ledger’s decision relies', () => {
  it('are durable outside of the database before anybody has them', async () => {
    const kept: [string, Digest | undefined][] = [];
    const journeys = await ledgersOver(async (peer, ends) => void kept.push([peer, ends?.own?.digest])).journeys(VM);
    expect(journeys.map(({ migrations }) => migrations.length)).toEqual([1]);
    expect(kept).toEqual([[CSP_B, EVENT.digest]]);
  });

  it('nobody has when they cannot be kept', async () => {
    const broken = new Error(`HEAD_FILE_BROKEN ${digestOf('1')}`);
    await expect(ledgersOver(() => Promise.reject(broken)).journeys(VM)).rejects.toBe(broken);
  });
});
