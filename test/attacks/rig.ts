import { readFileSync } from 'node:fs';
import { eventually } from '@carnet/dev';
import { afterAll, beforeAll } from 'vitest';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';

/** MiB that a VM may have: A asks for more than B takes, and neither for more than A's own limit. */
export const [B_TAKES, A_ASKS] = [512, 1_024];

/** Two clouds for all suites of `attacks.test.ts`: their start costs more than most attacks. */
export let clouds: Clouds;

beforeAll(async () => {
  clouds = await startClouds({
    policy: (text, { key }) => text.replaceAll('memoryMiB > 4096', `memoryMiB > ${key === 'b' ? B_TAKES : A_ASKS}`),
    // No VM of these tests has room at B above 2 GiB of disk: the agent lends no more.
    agent: (text, { key }) => (key === 'b' ? text.replace('[log]', '[limits]\nvolumeBytes = 2147483648\n\n[log]') : text),
  });
});
afterAll(() => clouds?.stop());

type LogFile = 'brokerLog' | 'agentLog';
/** How often a process of A has written these words. */
export const wrote = (log: LogFile, words: string): number => readFileSync(clouds.a.paths[log], 'utf8').split(words).length - 1;

/** Does something that a process of A must refuse, and waits until it says so. */
export async function saysOnce(log: LogFile, words: string, attack: () => Promise<unknown>): Promise<void> {
  const before = wrote(log, words);
  await attack();
  await eventually(`A’s ${log} with ${words}`, () => (wrote(log, words) > before ? true : undefined), 10_000);
}

/** All that A's broker holds true: its ledgers, its VMs, its keys. */
export const truthOfA = async () => ({
  events: await ledgerRows(clouds.a.database),
  ledgers: await rowsOf(
    clouds.a.database,
    'select publisher, audience, head_seq, head_digest, frozen from ledgers order by 1, 2',
  ),
  proofs: await rowsOf(clouds.a.database, 'select digest from proofs order by 1'),
  vms: await rowsOf(clouds.a.database, 'select vm, host, epoch from broker_vms order by vm'),
  keys: await rowsOf(clouds.a.database, 'select key, version, state from keys_holdings order by 1, 2'),
  deposits: await rowsOf(clouds.a.database, 'select * from keys_deposits order by 1, 2'),
  imports: await rowsOf(clouds.a.database, 'select * from keys_imports order by 1, 2'),
  running: clouds.a.host.uuids().map((uuid) => [uuid, clouds.a.host.domain(uuid)?.state]),
});
