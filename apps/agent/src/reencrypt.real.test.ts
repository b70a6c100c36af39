import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { eventually, lastTick, tickFoundOnDisk } from '@carnet/dev';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { luksPlace } from './header-guard.ts';
import { KEPT, type LoneHost, OWN, openLoneHost } from './testing/lone-host.ts';
import type { Crash } from './testing/mortal.ts';

/**
 * A running guest's volume gets a volume key that nobody else ever had. Real QEMU, libvirtd and files; qemu-io is the witness. The
 * guest counts all the while, on its console and on its disk: no count may be lost, whoever dies when.
 */
let host: LoneHost;
let arrived: Buffer;
beforeAll(async () => {
  host = await openLoneHost();
  arrived = await host.arrive();
});
afterAll(() => host?.close());

const tick = () => eventually('a tick', () => lastTick(host.console));
/** The guest has gone on by some beats, in the same boot. */
async function goesOn(from: Awaited<ReturnType<typeof tick>>): Promise<void> {
  const now = await eventually('later ticks', () => {
    const last = lastTick(host.console);
    return last !== undefined && last.n > from.n + 3 ? last : undefined;
  });
  expect(now.boot).toBe(from.boot);
}

async function place(path: string) {
  const found = await luksPlace(path);
  if (!found.ok) throw new Error(JSON.stringify(found.setback));
  return found.value;
}
async function headerOf(path: string): Promise<Buffer> {
  const { offset, bytes } = await place(path);
  return readFileSync(path).subarray(offset, offset + bytes);
}
/** The attacker's move: an old header over the one that is there now. */
async function putBack(path: string, header: Buffer): Promise<void> {
  const { offset } = await place(path);
  const file = openSync(path, 'r+');
  writeSync(file, header, 0, header.length, offset);
  closeSync(file);
}

/** The count on the disk, at least that of the console, for the guest writes it first. qemu-io prints a dot for what is no letter or digit. */
const countOn = (secret: typeof OWN): number => Number(/\.n\.(\d+)\./.exec(host.reads(host.volume, secret) ?? '')?.[1]);

/** The VM is started again, and finds on its disk what it last said, or the count after that. */
async function startsFrom({ boot, n }: Awaited<ReturnType<typeof tick>>): Promise<void> {
  await host.start();
  const found = await eventually('another boot', () => {
    const last = lastTick(host.console);
    return last === undefined || last.boot === boot ? undefined : tickFoundOnDisk(host.console);
  });
  expect([found.boot, found.n - n]).toEqual([boot, expect.toSatisfy((more) => more === 0 || more === 1)]);
}

const DONE = { status: 'done', result: { step: 'reencrypt' } };
const leftovers = (): readonly string[] => readdirSync(host.home).filter((name) => /reencrypting|replaced/.test(name));

test('the guest runs and writes all the while; afterwards no header of before reads the volume, with either passphrase', async () => {
  const swapped = await headerOf(host.volume);
  const from = await tick();
  const replies = await host.reencrypt({ rateBytesPerSecond: 4_194_304 });
  expect(replies.at(-1)).toMatchObject(DONE);
  const progress = replies.flatMap((reply) => (reply.status === 'running' ? (reply.progress ?? []) : []));
  expect(progress.some(({ doneBytes, bytesPerSecond }) => doneBytes > 0 && bytesPerSecond > 0)).toBe(true);
  await goesOn(from);
  expect(leftovers()).toEqual([]);

  await host.stop();
  const last = await tick();
  const own = await headerOf(host.volume);
  expect((await place(host.volume)).activeSlots).toHaveLength(1);
  expect(countOn(OWN)).toBeGreaterThanOrEqual(last.n);
  expect(host.reads(host.volume, KEPT)).toBeUndefined();
  for (const [header, secret] of [
    [arrived, KEPT],
    [swapped, OWN],
  ] as const) {
    await putBack(host.volume, header);
    // It opens: with the volume key of before, under which nothing here was written.
    expect(host.reads(host.volume, secret)).toBeDefined();
    for (const any of [KEPT, OWN]) expect(host.reads(host.volume, any) ?? '').not.toContain('TICK');
  }
  await putBack(host.volume, own);
  expect(countOn(OWN)).toBeGreaterThanOrEqual(last.n);
  await startsFrom(last);
});

/** Encrypted again as by another migration, and the guest has gone on. */
async function doneAgain(before: Buffer): Promise<void> {
  expect((await host.reencrypt()).at(-1)).toMatchObject(DONE);
  expect((await headerOf(host.volume)).equals(before)).toBe(false);
  expect(leftovers()).toEqual([]);
}
async function untilDeath(crash: Crash): Promise<void> {
  host.dieAt(crash);
  expect((await host.reencrypt()).every(({ status }) => status === 'running')).toBe(true);
}

test.each<[string, Crash]>([
  ['the copy has begun', { after: 'hypervisor.beginCopy' }],
  ['the guest rests', { after: 'hypervisor.pause' }],
  ['the copy is the disk', { after: 'hypervisor.endCopy' }],
  ['the old volume is aside', { after: 'files.rename' }],
  ['the new volume is in its place', { after: 'files.rename', nth: 2 }],
  ['the definition is stored', { after: 'hypervisor.define' }],
  ['the old header is blank', { after: 'files.blank' }],
  ['the guest runs again', { after: 'hypervisor.unpause' }],
])('the agent dies when %s: asked again, it is done, and the guest has gone on', async (_, crash) => {
  await host.asAnew();
  const [before, from] = [await headerOf(host.volume), await tick()];
  await untilDeath(crash);
  await host.restartAgent();
  await doneAgain(before);
  await goesOn(from);
});

test.each<[string, Crash]>([
  ['the copy has begun', { after: 'hypervisor.beginCopy' }],
  ['the copy is the disk', { after: 'hypervisor.endCopy' }],
  ['the new volume is in its place', { after: 'files.rename', nth: 2 }],
])('agent and QEMU die when %s: the VM starts from its last count', async (_, crash) => {
  await host.asAnew();
  const before = await headerOf(host.volume);
  await untilDeath(crash);
  host.killGuest();
  await eventually('its end', () => (host.state() === 'shut off' ? true : undefined));
  await host.restartAgent();
  await startsFrom(await tick());
  expect(leftovers()).toEqual([]);
  await doneAgain(before);
});

test.each<[string, Crash]>([
  ['the copy has begun', { after: 'hypervisor.beginCopy' }],
  ['the copy is the disk', { after: 'hypervisor.endCopy' }],
  ['the guest runs again', { after: 'hypervisor.unpause' }],
])('agent and libvirtd die when %s: the guest lives, and it is done', async (_, crash) => {
  await host.asAnew();
  const [before, from] = [await headerOf(host.volume), await tick()];
  await untilDeath(crash);
  await host.killLibvirtd();
  await host.restartAgent();
  await doneAgain(before);
  await goesOn(from);
});

test('whoever stops the VM does not wait for the copy; of a VM that is off the volume is encrypted again, too', async () => {
  await host.asAnew();
  const before = await headerOf(host.volume);
  const copying = host.reencrypt({ rateBytesPerSecond: 1_048_576 });
  await eventually('the copy', () => (leftovers().length > 0 ? true : undefined));
  expect((await host.inspect()).at(-1)).toMatchObject({ status: 'done', result: { state: 'running' } });
  await host.stop();
  expect((await copying).at(-1)).toMatchObject({ status: 'failed', code: 'STEP_ABORTED', retryable: true });
  expect((await headerOf(host.volume)).equals(before)).toBe(true);
  const last = await tick();
  await doneAgain(before);
  await startsFrom(last);
});

test('a guest that goes down by itself during the copy: its volume is encrypted again while it is off', async () => {
  await host.asAnew();
  const [before, copying] = [await headerOf(host.volume), host.reencrypt({ rateBytesPerSecond: 1_048_576 })];
  await eventually('the copy', () => (leftovers().length > 0 ? true : undefined));
  host.killGuest();
  expect((await copying).at(-1)).toMatchObject(DONE);
  expect((await headerOf(host.volume)).equals(before)).toBe(false);
  await startsFrom(await tick());
  expect(leftovers()).toEqual([]);
});

test('without room for a second volume it is refused, and the guest goes on as it was', async () => {
  await host.asAnew();
  const [before, from] = [await headerOf(host.volume), await tick()];
  host.room(40 * 1_048_576);
  expect((await host.reencrypt()).at(-1)).toMatchObject({ status: 'refused', code: 'NO_ROOM' });
  await goesOn(from);
  expect([(await headerOf(host.volume)).equals(before), leftovers()]).toEqual([true, []]);
  host.room(undefined);
  await doneAgain(before);
});
