import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Host, own } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Connection, isRemoteError, type StoragePool, type Volume } from './index.ts';
import { reach, startQemuHost } from './testing/qemu-host.ts';

const MIB = 1_048_576;
// What is garbage and not yet collected is no fault of the stream's: only what is held counts.
setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');
const heldBytes = (): number => {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
};
let host: Host;
let conn: Connection;
let pool: StoragePool;

beforeAll(async () => {
  host = await startQemuHost('storage');
  conn = await reach(host);
  pool = await conn.pools.createTransient(poolXml('disks', host.dirs.disks));
});

afterAll(async () => {
  await conn.close();
  await host.stop();
});

describe('a pool', () => {
  it('is defined, built, started, refreshed, stopped, deleted, undefined', async () => {
    const path = join(host.dirs.data, 'p');
    const made = await conn.pools.define(poolXml('p', path));
    expect(await conn.pools.isActive(made)).toBe(false);
    await conn.pools.build(made);
    await conn.pools.create(made);
    expect(await conn.pools.lookupByName('p')).toEqual(made);
    expect(await conn.pools.lookupByUuid(made.uuid)).toEqual(made);
    expect((await conn.pools.list()).map(({ name }) => name).toSorted()).toEqual(['disks', 'p']);
    const info = await conn.pools.info(made);
    expect(info.state).toBe('running');
    expect(info.capacityBytes).toBe(info.allocationBytes + info.availableBytes);
    expect((await conn.pools.xml(made, { flags: ['inactive'] })).trim()).toBe(
      host.virsh('pool-dumpxml', 'p', '--inactive').trim(),
    );

    mkdirSync(join(path, 'seen-after-refresh'));
    own(join(path, 'seen-after-refresh'), host.as);
    expect(await conn.volumes.list(made)).toEqual([]);
    await conn.pools.refresh(made);
    const [found] = await conn.volumes.list(made);
    expect(found).toMatchObject({ pool: 'p', name: 'seen-after-refresh' });
    if (found) await conn.volumes.delete(found);

    await conn.pools.destroy(made);
    await conn.pools.delete(made);
    await conn.pools.undefine(made);
    await expect(conn.pools.lookupByName('p')).rejects.toSatisfy((error) => isRemoteError(error, 'NO_STORAGE_POOL'));
  });
});

describe('a volume', () => {
  it('is created, found, described, resized, wiped, deleted', async () => {
    const made = await conn.volumes.create(pool, volumeXml('v', 3 * MIB));
    const path = await conn.volumes.path(made);
    expect(path).toBe(host.virsh('vol-path', 'v', '--pool', 'disks').trim());
    expect(await conn.volumes.lookupByName(pool, 'v')).toEqual(made);
    expect(await conn.volumes.lookupByKey(made.key)).toEqual(made);
    expect(await conn.volumes.lookupByPath(path)).toEqual(made);
    expect(await conn.volumes.info(made)).toMatchObject({ type: 'file', capacityBytes: BigInt(3 * MIB) });
    expect((await conn.volumes.xml(made)).trim()).toBe(host.virsh('vol-dumpxml', 'v', '--pool', 'disks').trim());
    await conn.volumes.resize(made, BigInt(4 * MIB));
    expect((await conn.volumes.info(made)).capacityBytes).toBe(BigInt(4 * MIB));
    await conn.volumes.upload(made, [new Uint8Array(MIB).fill(7)]);
    await conn.volumes.wipe(made);
    expect(readFileSync(path).every((byte) => byte === 0)).toBe(true);
    await conn.volumes.delete(made);
    await expect(conn.volumes.lookupByPath(path)).rejects.toSatisfy((error) => isRemoteError(error, 'NO_STORAGE_VOL'));
  });

  it('takes bytes and gives the same back, whatever the chunks', async () => {
    const made = await volume('round', 9 * MIB);
    const bytes = pattern(9 * MIB);
    await conn.volumes.upload(made, chunked(bytes, [1, 5, 262_120, 262_121, 3 * MIB, 100_000]));
    expect(digest(readFileSync(await conn.volumes.path(made)))).toBe(digest(bytes));
    expect(digest(await collect(conn.volumes.download(made)))).toBe(digest(bytes));
    const part = await collect(conn.volumes.download(made, { offset: 777n, length: 1_000_001n }));
    expect(digest(part)).toBe(digest(bytes.subarray(777, 777 + 1_000_001)));
    await conn.volumes.upload(made, [Uint8Array.of(1, 2, 3)], { offset: 4096n, length: 3n });
    expect(readFileSync(await conn.volumes.path(made)).subarray(4095, 4100)).toEqual(
      Buffer.from([bytes[4095] ?? 0, 1, 2, 3, bytes[4099] ?? 0]),
    );
  });

  it('serves a slow reader in bounded memory, and another call afterwards', async () => {
    const made = await volume('slow', 24 * MIB);
    await conn.volumes.upload(made, [pattern(24 * MIB)]);
    const before = heldBytes();
    let [peak, total] = [0, 0];
    for await (const chunk of conn.volumes.download(made)) {
      total += chunk.length;
      await sleep(1);
      peak = Math.max(peak, heldBytes() - before);
    }
    expect(total).toBe(24 * MIB);
    expect(peak).toBeLessThan(4 * MIB);
    expect(await conn.volumes.lookupByName(pool, 'slow')).toEqual(made);
  });

  it('takes a second transfer and calls after one was left in the middle', async () => {
    const made = await volume('left', 8 * MIB);
    for await (const chunk of conn.volumes.download(made)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    const controller = new AbortController();
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1000);
      controller.abort();
      await new Promise(() => undefined);
    };
    const upload = conn.volumes.upload(made, endless(), { signal: controller.signal });
    await expect(upload).rejects.toMatchObject({ code: 'CALL_ABORTED', effect: 'unknown' });
    const broken = function* (): Generator<Uint8Array> {
      yield new Uint8Array(1000);
      throw new Error('source broke');
    };
    await expect(conn.volumes.upload(made, broken())).rejects.toThrow('source broke');
    await conn.volumes.upload(made, [pattern(8 * MIB)]);
    expect(digest(await collect(conn.volumes.download(made)))).toBe(digest(pattern(8 * MIB)));
  });

  it('refuses what does not fit, and lets the connection live', async () => {
    const made = await volume('small', MIB);
    const upload = conn.volumes.upload(made, [pattern(2 * MIB)], { length: BigInt(MIB) });
    await expect(upload).rejects.toMatchObject({ code: 'REMOTE', effect: 'unknown' });
    const gone: Volume = { ...made, name: 'no-such', key: '/no/such' };
    await expect(collect(conn.volumes.download(gone))).rejects.toSatisfy((error) => isRemoteError(error, 'NO_STORAGE_VOL'));
    expect(await conn.volumes.lookupByName(pool, 'small')).toEqual(made);
  });

  it('draws from its source no faster than the daemon takes, and fails when it takes nothing', async () => {
    const made = await volume('paused', 64 * MIB);
    const source = { bytes: 0 };
    const counted = function* (): Generator<Uint8Array> {
      for (; source.bytes < 64 * MIB; source.bytes += MIB) yield new Uint8Array(MIB);
    };
    await using own = await reach(host, { keepalive: 'off' });
    await host.kill('SIGSTOP');
    const stuck = conn.volumes.upload(made, counted(), { timeoutMs: 100 });
    await expect(stuck).rejects.toMatchObject({ code: 'CALL_TIMEOUT' });
    await host.kill('SIGCONT');

    source.bytes = 0;
    const patient = own.volumes.upload(made, counted());
    await expect.poll(() => source.bytes).toBeGreaterThan(0);
    await host.kill('SIGSTOP');
    await sleep(100);
    const atStop = source.bytes;
    await sleep(200);
    expect(source.bytes).toBe(atStop);
    expect(atStop).toBeLessThan(64 * MIB);
    await host.kill('SIGCONT');
    await patient;
    expect(source.bytes).toBe(64 * MIB);
  });

  it('rejects both transfers of a connection that is closed', async () => {
    const other = await reach(host);
    const reading = other.volumes.download(await volume('closed', 32 * MIB));
    await reading.next();
    const writing = Promise.allSettled([other.volumes.upload(await volume('closed-too', MIB), forever())]);
    await sleep(20);
    await other.close();
    expect(await writing).toMatchObject([{ reason: { code: 'CONNECTION_CLOSED', effect: 'unknown' } }]);
    await expect(reading.next()).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  });
});

const volume = (name: string, bytes: number): Promise<Volume> => conn.volumes.create(pool, volumeXml(name, bytes));

function poolXml(name: string, path: string): string {
  return `<pool type='dir'><name>${name}</name><target><path>${path}</path></target></pool>`;
}

function volumeXml(name: string, bytes: number): string {
  return `<volume><name>${name}</name><capacity unit='bytes'>${bytes}</capacity><target><format type='raw'/></target></volume>`;
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 12)) & 0xff);
}

function* chunked(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let [at, turn] = [0, 0]; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function* forever(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield new Uint8Array(1);
    await sleep(1);
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
