import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPublisher } from '@carnet/publisher';
import { lastTick, type Tick, tickFoundOnDisk } from '../guest-console.ts';
import type { Screen } from './screen.ts';
import { type EntryAnswer, type MigrationAnswer, type Side, unwrapped } from './sides.ts';
import { consoleOf, leftAt, startOfCopy, tickAfter, virshList, watchStop } from './witnesses.ts';

/** What one migration showed. Times in milliseconds, sizes in bytes. */
export type ActReport = {
  readonly name: string;
  readonly migration: string;
  readonly mode: 'cold' | 'suspend';
  readonly from: string;
  readonly to: string;
  readonly outcome: string;
  readonly endState: { readonly source: string; readonly target: string };
  readonly guest: { readonly before: Tick; readonly after: Tick; readonly foundOnDisk?: Tick };
  readonly stopMs: number;
  readonly bytesSent: number;
  readonly events: number;
  readonly claims: readonly { readonly text: string; readonly holds: boolean }[];
};

type Machine = { readonly vm: string; readonly uuid: string };

const END_MS_MAX = 90_000;
const LOOK_MS = 100;

/** Asks, waits for the end on both sides, and returns both sides' answers. */
async function migrate(
  source: Side,
  target: Side,
  { vm }: Machine,
  mode: 'cold' | 'suspend',
  meanwhile: (id: string) => Promise<void>,
): Promise<{ readonly id: string; readonly atSource: MigrationAnswer; readonly atTarget: MigrationAnswer }> {
  const publisher = createPublisher({ broker: source.broker, nowMs: () => Date.now(), random: (n) => randomBytes(n) });
  const { id } = unwrapped(await publisher.intend({ vm, target: target.csp.plan.domain, mode }));
  await meanwhile(id);
  const atSource = await ended(source, id);
  const atTarget = await ended(target, id);
  return { id, atSource, atTarget };
}

async function ended({ broker, csp }: Side, id: string): Promise<MigrationAnswer> {
  for (let waited = 0; waited < END_MS_MAX; waited += LOOK_MS) {
    const answer = await broker.get<MigrationAnswer>(`/v1/migrations/${id}`);
    if (answer.ok && answer.value.ended) return answer.value;
    await sleep(LOOK_MS);
  }
  const last = unwrapped(await broker.get<MigrationAnswer>(`/v1/migrations/${id}`));
  throw new Error(`${csp.plan.domain}: migration ${id} has not ended: ${last.phase}, ${JSON.stringify(last.lastFailure)}`);
}

const eventsOf = async ({ broker }: Side, id: string): Promise<readonly EntryAnswer[]> =>
  unwrapped(await broker.get<{ readonly items: readonly EntryAnswer[] }>(`/v1/events?migration=${id}`)).items;

/** Until an event stands at that side, and, if it is that side's own, is out on the bus. */
async function sees(side: Side, id: string, type: string): Promise<void> {
  for (let waited = 0; waited < END_MS_MAX; waited += LOOK_MS / 2) {
    if ((await eventsOf(side, id)).some((entry) => entry.type === type && entry.state !== 'pending')) return;
    await sleep(LOOK_MS / 2);
  }
  throw new Error(`${side.csp.plan.domain} saw no ${type}`);
}

const nothing = async (): Promise<void> => undefined;

/** Acts 1 and 2: the VM moves, and its guest tells how. */
export async function move(
  screen: Screen,
  source: Side,
  target: Side,
  machine: Machine,
  mode: 'cold' | 'suspend',
): Promise<ActReport> {
  const [from, to] = [consoleOf(source.csp, machine.uuid), consoleOf(target.csp, machine.uuid)];
  const before = await tickAfter(from, lastTick(from), 10_000);
  const watching = watchStop(from, to);
  const { id, atSource, atTarget } = await migrate(source, target, machine, mode, nothing);
  const stop = await watching.done;
  const after = await tickAfter(to, stop.first, 20_000);
  const foundOnDisk = mode === 'cold' ? tickFoundOnDisk(to) : undefined;
  const claims = [
    {
      text: `${target.csp.plan.domain}: virsh shows it running`,
      holds: virshList(target.csp).some((line) => line.endsWith('running')),
    },
    {
      text: `${source.csp.plan.domain}: virsh shows nothing, no file is left`,
      holds: virshList(source.csp).length === 0 && leftAt(source.csp).length === 0,
    },
    mode === 'cold'
      ? {
          text: 'the guest booted anew and found on its disk the marker that it wrote at the source',
          holds: foundOnDisk?.boot === stop.last.boot && after.boot !== stop.last.boot,
        }
      : {
          text: 'the guest went on counting: same boot id, memory survived',
          holds: after.boot === before.boot && after.n > stop.last.n,
        },
  ];
  const fenced = mode === 'cold' ? witnessHook(screen, source, machine) : [];
  witness(screen, [source, target], machine, [...claims, ...fenced]);
  return {
    name: mode,
    migration: id,
    mode,
    from: source.csp.plan.domain,
    to: target.csp.plan.domain,
    outcome: atSource.outcome,
    endState: { source: atSource.phase, target: atTarget.phase },
    guest: { before: stop.last, after, ...(foundOnDisk === undefined ? {} : { foundOnDisk }) },
    stopMs: stop.stopMs,
    bytesSent: atTarget.transferredBytes ?? 0,
    events: (await eventsOf(source, id)).length,
    claims: [...claims, ...fenced],
  };
}

/** The source's own administrator does not run the VM by mistake. */
function witnessHook(screen: Screen, { csp }: Side, { uuid }: Machine): ActReport['claims'] {
  if (csp.host.hooks === undefined) {
    screen.line(
      'libvirtd runs without our hook here: one machine has one hooks folder, and only root can give each cloud its own',
    );
    return [];
  }
  const heard = startOfCopy(csp, uuid);
  screen.witness(`virsh start of a copy at ${csp.plan.domain}`, heard);
  const text = `${csp.plan.domain}: a copy that its administrator starts with virsh is refused, by the host alone`;
  return [{ text, holds: heard.includes('VM_SURRENDERED') }];
}

function witness(screen: Screen, sides: readonly Side[], machine: Machine, claims: ActReport['claims']): void {
  for (const { csp } of sides) {
    screen.witness(`virsh at ${csp.plan.domain}`, virshList(csp).join(', ') || 'no domain');
    const tick = lastTick(consoleOf(csp, machine.uuid));
    if (tick !== undefined)
      screen.witness(`guest's console at ${csp.plan.domain}`, `boot=${tick.boot} n=${tick.n} up=${tick.upSeconds}`);
  }
  for (const { text, holds } of claims) screen.verdict(holds ? 'holds' : 'fails', text);
}

/** Bytes that a bad disk loses: enough to spoil the LUKS header's key material, whatever else survives. */
const SPOILED_BYTES = 65_536;

/**
 * Act 3: after the image has arrived and was verified, B's disk spoils it. The two brokers are paused in turn only so that this
 * happens at that very moment and not a little earlier or later; every check and every step is the ordinary one.
 */
export async function failAfterArrival(screen: Screen, source: Side, target: Side, machine: Machine): Promise<ActReport> {
  const console = consoleOf(source.csp, machine.uuid);
  const before = await tickAfter(console, lastTick(console), 10_000);
  const startedAt = performance.now();
  const { id, atSource, atTarget } = await migrate(source, target, machine, 'suspend', async (migration) => {
    await sees(source, migration, 'TargetReady');
    await target.csp.broker.kill('SIGSTOP');
    await sees(source, migration, 'ImageSealed');
    await source.csp.broker.kill('SIGSTOP');
    await target.csp.broker.kill('SIGCONT');
    await sees(target, migration, 'ImageVerified');
    spoil(screen, target);
    await source.csp.broker.kill('SIGCONT');
  });
  const after = await tickAfter(console, lastTick(console), 30_000);
  const keys = unwrapped(await target.broker.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/keys')).items;
  const claims = [
    {
      text: `it was rolled back: ${atSource.reasons.map((reason) => reason.code).join(', ')}`,
      holds: atSource.outcome === 'rolled-back',
    },
    {
      text: `${source.csp.plan.domain}: the VM runs again, same boot id`,
      holds: after.boot === before.boot && after.n > before.n && virshList(source.csp).some((line) => line.endsWith('running')),
    },
    {
      text: `${target.csp.plan.domain}: nothing is left: no domain, no file, no key that opens anything`,
      holds:
        virshList(target.csp).length === 0 && leftAt(target.csp).length === 0 && keys.every((key) => key.state === 'destroyed'),
    },
  ];
  witness(screen, [source, target], machine, claims);
  return {
    name: 'failure after arrival',
    migration: id,
    mode: 'suspend',
    from: source.csp.plan.domain,
    to: target.csp.plan.domain,
    outcome: atSource.outcome,
    endState: { source: atSource.phase, target: atTarget.phase },
    guest: { before, after },
    stopMs: Math.round(performance.now() - startedAt),
    bytesSent: atTarget.transferredBytes ?? 0,
    events: (await eventsOf(source, id)).length,
    claims,
  };
}

/** What a failing disk does: zeros over the LUKS header of every volume that arrived. */
function spoil(screen: Screen, { csp }: Side): void {
  const volumes = leftAt(csp).flatMap((path) => luksHeaderIn(path) ?? []);
  if (volumes.length === 0) throw new Error(`no encrypted volume has arrived at ${csp.plan.domain}`);
  for (const { path, offset } of volumes) {
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(SPOILED_BYTES), 0, SPOILED_BYTES, offset);
    fsyncSync(file);
    closeSync(file);
    screen.line(`a bad disk at ${csp.plan.domain} zeroes 64 KiB of what has just arrived and was verified`);
  }
}

/** The magic of a LUKS header (LUKS1 On-Disk Format, section 2.1), which qcow2 places at the start of a cluster. */
const LUKS_MAGIC = Buffer.from('LUKS\u00ba\u00be', 'latin1');
const QCOW2_MAGIC = Buffer.from('QFI\u00fb', 'latin1');
const CLUSTER_BYTES = 65_536;
const CLUSTERS_LOOKED_AT = 64;

function luksHeaderIn(path: string): { readonly path: string; readonly offset: number } | undefined {
  const file = openSync(path, 'r');
  const head = Buffer.alloc(CLUSTERS_LOOKED_AT * CLUSTER_BYTES);
  readSync(file, head, 0, head.length, 0);
  closeSync(file);
  if (!head.subarray(0, QCOW2_MAGIC.length).equals(QCOW2_MAGIC)) return undefined;
  for (let offset = CLUSTER_BYTES; offset < head.length; offset += CLUSTER_BYTES) {
    if (head.subarray(offset, offset + LUKS_MAGIC.length).equals(LUKS_MAGIC)) return { path, offset };
  }
  return undefined;
}
