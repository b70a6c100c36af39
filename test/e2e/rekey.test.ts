import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { eventually, lastTick, tickFoundOnDisk } from '@carnet/dev';
import type { BrokerClient } from '@carnet/publisher';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Csp } from '../../infra/dev/src/clouds/csp.ts';
import { type Federation, startFederation } from '../../infra/dev/src/clouds/federation.ts';
import { clientOf } from '../faults/harness/cloud.ts';
import { intentOf, type Mode, must, settled } from '../faults/harness/moves.ts';

/** Two real clouds: a running guest moves with its disk encrypted again on arrival, and back with its key slot swapped. */
type Side = { readonly csp: Csp; readonly api: BrokerClient };
type VmRow = {
  readonly vm: string;
  readonly spec: { readonly disks: readonly { readonly artifact: string; readonly key: string }[] };
};
type Detail = {
  readonly rekey: {
    readonly agreed: string;
    readonly done?: string;
    readonly volumes: readonly { readonly from: { readonly key: string }; readonly to: { readonly key: string } }[];
  };
  readonly receipts: readonly {
    readonly by: string;
    readonly keys: readonly { readonly key: string; readonly fate?: string }[];
    readonly artifacts: readonly { readonly artifact: string; readonly fate?: string }[];
    readonly hasEvidence: boolean;
  }[];
};
type Key = { readonly state: string; readonly consumers: readonly string[]; readonly replaces?: string };

let federation: Federation;
let a: Side;
let b: Side;
let vm: string;
const sideOf = (csp: Csp): Side => ({ csp, api: clientOf(csp.paths, csp.plan, csp.ports.http, 'operator') });
const get = async <T>({ api }: Side, path: string): Promise<T> => must(await api.get<T>(path));
const consoleAt = ({ csp }: Side): string => join(csp.paths.volumes, vm.split('/')[1] ?? '', 'serial.log');
const diskAt = async (side: Side) => {
  const { items } = await get<{ readonly items: readonly VmRow[] }>(side, '/v1/vms');
  const [disk] = items.find((one) => one.vm === vm)?.spec.disks ?? [];
  if (disk === undefined) throw new Error('the VM is not held there');
  return disk;
};

async function move(from: Side, to: Side, mode: Mode, rekey: 'slot' | 'full' | 'full-online') {
  const before = await diskAt(from);
  const asked = intentOf(vm, to.csp.plan.domain, mode);
  must(await from.api.post('/v1/intents', { ...asked, data: { ...asked.data, rekey } }));
  expect(await settled({ a, b }, asked.data.migration, 180_000)).toMatchObject({ outcome: 'done' });
  const ticked = await eventually('a guest that ticks there', () => lastTick(consoleAt(to)), 120_000);
  const [after, seen] = [await diskAt(to), await get<Detail>(from, `/v1/migrations/${asked.data.migration}`)];
  return { before, after, seen, ticked };
}

beforeAll(async () => {
  federation = await startFederation();
  [a, b] = [sideOf(federation.a), sideOf(federation.b)];
  await eventually('hosts that are up', async () => {
    const hosts = await Promise.all(
      [a, b].map((side) => get<{ readonly items: readonly { readonly state: string }[] }>(side, '/v1/hosts')),
    );
    return hosts.every(({ items }) => items.some(({ state }) => state === 'up')) ? true : undefined;
  });
  const { kernelSha256: kernel, initrdSha256: initrd, commandLine: cmdline } = federation.guest;
  const boot = { kind: 'kernel', kernel, initrd, cmdline };
  const body = { name: 'rekeyed', capacityBytes: 8_388_608, vcpus: 1, memoryMiB: 256, boot, start: true };
  ({ vm } = must(await a.api.post<VmRow>('/v1/vms', body)));
  await eventually('a guest that ticks', () => lastTick(consoleAt(a)), 120_000);
}, 300_000);
afterAll(async () => {
  for (const side of [a, b]) side?.api.close();
  await federation?.stop();
}, 60_000);

/** B has the new key in the old one's stead, and neither side has the old one. */
async function expectReplaced(old: string, made: string): Promise<void> {
  expect(await get<Key>(b, `/v1/keys/${made}`)).toMatchObject({
    state: 'active',
    consumers: [`vm:${vm}`],
    replaces: `${old} version 1`,
  });
  for (const side of [a, b]) expect(await get<Key>(side, `/v1/keys/${old}`)).toMatchObject({ state: 'destroyed', consumers: [] });
}

it('full, suspended: the guest goes on in the same boot on a disk that only the target’s own key opens', async () => {
  const booted = await lastTick(consoleAt(a));
  const { before, after, seen, ticked } = await move(a, b, 'suspend', 'full');
  expect(ticked.boot).toBe(booted?.boot);
  expect(after).toMatchObject({ artifact: before.artifact });
  expect(after.key).not.toBe(before.key);
  expect(seen.rekey).toMatchObject({
    agreed: 'full',
    done: 'full',
    volumes: [{ from: { key: before.key }, to: { key: after.key } }],
  });
  await expectReplaced(before.key, after.key);
  const receipt = seen.receipts.find(({ by }) => by === a.csp.plan.domain);
  expect(receipt).toMatchObject({ hasEvidence: true });
  expect(receipt?.keys).toContainEqual(expect.objectContaining({ key: before.key, fate: 'destroyed' }));
  expect(receipt?.artifacts).toContainEqual(expect.objectContaining({ artifact: before.artifact, fate: 'header-overwritten' }));
}, 300_000);

it('slot, cold, back again: under a third key', async () => {
  const { before, after, seen } = await move(b, a, 'cold', 'slot');
  expect(seen.rekey).toMatchObject({ agreed: 'slot', done: 'slot' });
  expect(after.key).not.toBe(before.key);
  expect(await get<Key>(a, `/v1/keys/${after.key}`)).toMatchObject({ state: 'active', replaces: `${before.key} version 1` });
  expect(await get<Key>(b, `/v1/keys/${before.key}`)).toMatchObject({ state: 'destroyed' });
}, 300_000);

it('full-online, suspended: the guest goes on in the same boot, and its disk is encrypted again under it', async () => {
  const booted = lastTick(consoleAt(a));
  const { before, after, seen, ticked } = await move(a, b, 'suspend', 'full-online');
  expect(ticked.boot).toBe(booted?.boot);
  expect(seen.rekey).toMatchObject({ agreed: 'full-online', done: 'full-online' });
  expect(after.key).not.toBe(before.key);
  await expectReplaced(before.key, after.key);
  // It boots there with the new key alone, and finds what it wrote.
  for (const power of ['off', 'on']) must(await b.api.post(`/v1/vms/${vm}/${power}`, {}));
  const found = await eventually('a guest that found its disk', () => tickFoundOnDisk(consoleAt(b)), 120_000);
  expect(found.boot).toBe(ticked.boot);
}, 300_000);

it('the auditor finds receipts and re-keying in order', () => {
  const { code, a: one, b: other } = federation;
  const contexts = [one, other].flatMap((csp) => ['--context', csp.context('auditor')]);
  const main = join(code.root, 'apps', 'audit', 'src', 'main.ts');
  const trust = ['--root', join(federation.pki, 'root.pem'), '--crls', join(federation.pki, 'crls')];
  const run = spawnSync(code.node, [main, 'verify', ...contexts, ...trust, '--json'], { encoding: 'utf8' });
  expect(`${run.stderr}${run.stdout}`).toMatch(/"verdict": ?"proven/);
});
