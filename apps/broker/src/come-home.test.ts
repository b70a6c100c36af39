import type { Journey } from '@carnet/saga';
import { expect, it } from 'vitest';
import { CSP_B, finish, given, type Party, relinquish } from '../../../libs/saga/src/testing.ts';
import { type ComeHomePorts, redoWhatCameHome } from './come-home.ts';

async function redone({ self, journey }: Party): Promise<readonly string[]> {
  const done: string[] = [];
  const ports = {
    self,
    store: { db: { transaction: () => ({ execute: (work: (tx: unknown) => unknown) => work({}) }) } },
    keys: {
      sharedByLedger: async (_tx: unknown, { target }: { target: string }, keys: readonly unknown[], direction: string) =>
        void done.push(`${keys.length} keys ${direction}, of a move to ${target}`),
      releasedByLedger: async (_tx: unknown, { handover }: { handover: unknown }) =>
        void done.push(`suspended, ${handover === undefined ? 'not yet recorded' : 'recorded'}`),
    },
  } as unknown as ComeHomePorts;
  await redoWhatCameHome(ports, journey);
  return done;
}

/** What our own files bring home before the peer has sent its part again. */
function withoutPeers({ self, journey }: Party): Party {
  const migrations = journey.migrations.map((m) => ({
    ...m,
    facts: Object.fromEntries(Object.entries(m.facts).filter(([type]) => type !== 'MigrationOffered')),
  }));
  return { self, journey: { ...journey, migrations } as Journey } as Party;
}

const OUT = `2 keys out, of a move to ${CSP_B}`;
const IN = `2 keys in, of a move to ${CSP_B}`;

it.each<readonly [string, Party, readonly string[]]>([
  ['agreed on', given('OfferAgreed').a, []],
  ['deposited', given('KeyDeposited').a, [OUT]],
  ['deposited, to a target that has not acknowledged it', given('KeyDeposited').b, []],
  ['acknowledged, at its target', given('DepositAcknowledged').b, [IN]],
  ['released', given('KeyReleased').a, [OUT, 'suspended, recorded']],
  ['released, and without the peer’s part', withoutPeers(given('KeyReleased').a), ['suspended, not yet recorded']],
  ['released, at its target', given('KeyReleased').b, [IN]],
  ['done', finish(given('VmStarted')).a, [OUT]],
  ['given back', finish({ a: given('KeyReleased').a, b: relinquish(given('KeyReleased').b) }).a, [OUT]],
])('a move that was %s', async (_, party, what) => {
  expect(await redone(party)).toEqual(what);
});
