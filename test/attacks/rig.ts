import { readFileSync } from 'node:fs';
import { eventually } from '@carnet/dev';
import { afterAll, beforeAll } from 'vitest';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { withPeople } from './people.ts';

/** MiB that a VM may have: A asks for more than B takes, and neither for more than A's own limit. */
export const [B_TAKES, A_ASKS] = [512, 1_024];

/** Two clouds for all suites of `attacks.test.ts`: their start costs more than most attacks. */
export let clouds: Clouds;

beforeAll(async () => {
  clouds = await startClouds({
    policy: (text, plan) =>
      withPeople(text, plan).replaceAll('memoryMiB > 4096', `memoryMiB > ${plan.key === 'b' ? B_TAKES : A_ASKS}`),
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

/** All that A's broker holds true: its ledgers, its VMs, its keys. In one statement: it is asked twice for each attack. */
export async function truthOfA(): Promise<Truth> {
  const [row] = await rowsOf<{ readonly truth: Omit<Truth, 'running'> }>(clouds.a.database, TRUTH);
  if (row === undefined) throw new Error('a statement without a table has one row');
  const { host } = clouds.a;
  return { ...row.truth, running: host.uuids().map((uuid) => [uuid, host.domain(uuid)?.state]) };
}

export type Truth = {
  readonly events: readonly { readonly publisher: string }[];
  readonly running: readonly unknown[];
} & Readonly<Record<'ledgers' | 'proofs' | 'vms' | 'keys' | 'deposits' | 'imports', unknown>>;

const all = (query: string): string => `(select coalesce(json_agg(t), '[]'::json) from (${query}) t)`;
const TRUTH = `select json_build_object(
  'events', ${all('select digest, publisher, seq, type, void_code from events order by publisher, seq')},
  'ledgers', ${all('select publisher, audience, head_seq, head_digest, frozen from ledgers order by 1, 2')},
  'proofs', ${all('select digest from proofs order by 1')},
  'vms', ${all('select * from broker_vms order by vm')},
  'keys', ${all('select key, version, arrival, state from keys_holdings order by 1, 2, 3')},
  'deposits', ${all('select * from keys_deposits order by 1, 2')},
  'imports', ${all('select * from keys_imports order by 1, 2')}
) as truth`;
