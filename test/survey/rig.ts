import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { leafSigner, readPem } from '@carnet/pki';
import { createPublisher } from '@carnet/publisher';
import { afterAll, beforeAll } from 'vitest';
import { accreditationFiles } from '../faults/harness/accreditor.ts';
import { type Cloud, clientOf } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { dekAtHost } from '../faults/harness/disk-keys.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, must, settled, type Vm } from '../faults/harness/moves.ts';
import { sniff } from './sniffer.ts';

/** B takes no VM that bears this label, by a rule of its own. */
export const UNWANTED = 'not-at-b';
export const RULE = 'LABEL_UNWANTED';

/** Two clouds for all systems of the survey, and one whole run between them that a middle box has recorded. */
export let clouds: Clouds;
export let run: Run;
export type Run = {
  readonly vm: Vm;
  readonly migration: string;
  /** What the middle box saw at a port. */
  readonly seen: (port: number) => Buffer;
  /** The image as it lay on A's disk, and the key that opens it. */
  readonly image: Buffer;
  readonly dek: Buffer;
};

beforeAll(async () => {
  clouds = await startClouds({
    policyMore: accreditationFiles,
    policy: (text, { key }) => (key === 'b' && text.includes('forbid (') ? `${text}\n${LABEL_RULE}` : text),
  });
  run = await recordedRun();
});
afterAll(() => clouds?.stop());

const LABEL_RULE = `@id("label-unwanted") @reason("${RULE}")
@says("this cloud takes no VM with that label") @advice("Move it elsewhere, or have the label changed at its home.")
forbid (principal, action == Action::"receive", resource) when { resource.labels.contains("${UNWANTED}") };
`;

/** Asked for under the scheduler's own signature, and watched from the first word to the last. */
async function recordedRun(): Promise<Run> {
  const { a, b, bus, root } = clouds;
  const vm = await createVm(a);
  const disk = a.host.domain(vm.uuid)?.definition.disks[0];
  if (disk === undefined) throw new Error('a VM has a disk');
  const dek = await dekAtHost(a, vm, String(disk.key));
  if (!dek.ok) throw new Error(dek.code);
  const ports = [bus.port, ...[a, b].flatMap(({ facts }) => [facts.ports.http, facts.ports.dataPath])];
  const sniffer = await sniff(join(root, 'wire'), 'lo', ports);
  const image = readFileSync(disk.path);
  const { id: migration } = must(await schedulerOf(a).intend({ vm: vm.vm, target: b.plan.domain, mode: 'cold' }));
  await settled(clouds, migration, 60_000);
  return { vm, migration, image, dek: Buffer.from(dek.value), seen: await sniffer.stop() };
}

export function schedulerOf({ paths, plan, facts }: Cloud) {
  const read = (kind: string): string => readFileSync(join(paths.pki, `scheduler.${kind}`), 'utf8');
  const leaf = readPem(read('pem'), 'CERTIFICATE')[0] ?? new Uint8Array();
  return createPublisher({
    broker: clientOf(paths, plan, facts.ports.http, 'scheduler'),
    identity: { signer: leafSigner(read('key'), leaf), certificate: Buffer.from(leaf).toString('base64') },
    nowMs: Date.now,
    random: randomBytes,
  });
}

/** All that one side holds true, and what its host keeps of VMs. */
export async function truthOf({ database, host }: Cloud): Promise<unknown> {
  const tables = [
    'select digest, void_code from events order by 1',
    'select vm, host, epoch from broker_vms order by 1',
    'select key, version, arrival, state from keys_holdings order by 1, 2, 3',
  ];
  const rows = await Promise.all(tables.map((text) => rowsOf(database, text)));
  return { rows, effects: host.effects(), domains: host.uuids() };
}
