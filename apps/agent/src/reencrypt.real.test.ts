import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { eventually, lastTick } from '@carnet/dev';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { luksPlace } from './header-guard.ts';
import { KEPT, type LoneHost, OWN, openLoneHost } from './testing/lone-host.ts';

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

/** As qemu-io prints it: a dot for what is neither letter nor digit. */
const countOf = ({ boot, n }: Awaited<ReturnType<typeof tick>>): string => `TICK.boot.${boot.replaceAll('-', '.')}.n.${n}.`;
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
  expect(host.reads(host.volume, OWN)).toContain(countOf(last));
  expect(host.reads(host.volume, KEPT)).toBeUndefined();
  for (const [header, secret] of [[arrived, KEPT], [swapped, OWN]] as const) {
    await putBack(host.volume, header);
    // It opens: with the volume key of before, under which nothing here was written.
    expect(host.reads(host.volume, secret)).toBeDefined();
    for (const any of [KEPT, OWN]) expect(host.reads(host.volume, any) ?? '').not.toContain('TICK');
  }
  await putBack(host.volume, own);
  expect(host.reads(host.volume, OWN)).toContain(countOf(last));
  await host.start();
});
