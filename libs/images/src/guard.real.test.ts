import { execFile } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { guardHeader, luksHeaderDigest } from './guard.ts';
import { codeOf, value } from './testing/fixture.ts';

// The guard beside qemu-img: what qemu writes and reads is judged, and our reading of a header is qemu's.

const run = promisify(execFile);
let dir = '';
const at = (name: string): string => join(dir, name);
/** Needs Debian's qemu-utils (`npm run setup`). */
async function qemuImg(...args: readonly string[]): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      return (await run('qemu-img', [...args])).stdout;
    } catch (error) {
      // On a busy machine qemu cannot time its key derivation. That is about the machine, not the image.
      if (tries === 10 || !String(error).includes('Unable to get accurate CPU usage')) throw error;
    }
  }
}
const SECRET = (): readonly string[] => ['--object', `secret,id=s,file=${at('secret')}`];
const LUKS = 'encrypt.format=luks,encrypt.key-secret=s,encrypt.hash-alg=sha512,encrypt.iter-time=10';
const createLuks = (name: string, options: string, size = '64M'): Promise<string> =>
  qemuImg('create', '-q', ...SECRET(), '-f', 'qcow2', '-o', options === '' ? LUKS : `${LUKS},${options}`, at(name), size);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'carnet-guard-'));
  await writeFile(at('secret'), 'a test passphrase');
  await qemuImg('create', '-q', '-f', 'raw', at('base.raw'), '64M');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Info {
  readonly 'virtual-size': number;
  readonly 'cluster-size': number;
  readonly 'format-specific': {
    readonly data: {
      readonly encrypt: {
        readonly 'payload-offset': number;
        readonly uuid: string;
        readonly slots: readonly { readonly active: boolean }[];
      };
    };
  };
}
const infoOf = async (name: string): Promise<Info> => JSON.parse(await qemuImg('info', '--output=json', '-f', 'qcow2', at(name)));

test.each([
  ['plain', '', '64M'],
  ['version 2', 'compat=0.10', '64M'],
  ['small clusters', 'cluster_size=512', '16M'],
  ['large clusters', 'cluster_size=2M', '1G'],
  ['extended L2', 'extended_l2=on,cluster_size=128k', '1G'],
  ['zstd', 'compression_type=zstd', '64M'],
  ['lazy refcounts', 'lazy_refcounts=on', '64M'],
  ['one-bit refcounts', 'refcount_bits=1', '64M'],
  ['metadata allocated', 'preallocation=metadata', '64M'],
  ['a large disk', '', '2T'],
])('%s: accepted, and read as qemu-img reads it', async (name, options, size) => {
  await createLuks('good', options, size);
  const header = value(await guardHeader(at('good'), { format: 'qcow2' }));
  if (header.format !== 'qcow2') throw new Error(name);
  const info = await infoOf('good');
  expect(header.virtualBytes).toBe(info['virtual-size']);
  expect(header.clusterBytes).toBe(info['cluster-size']);
  const { encrypt } = info['format-specific'].data;
  expect(header.luks.headerBytes).toBe(encrypt['payload-offset']);
  expect(header.luks.uuid).toBe(encrypt.uuid);
  expect(header.luks.activeSlots).toEqual(encrypt.slots.flatMap(({ active }, slot) => (active ? [slot] : [])));
});

test('a second encryption header behind 64 KiB of names is the one that qemu-img opens: refused', async () => {
  await createLuks('first', 'cluster_size=2M');
  await createLuks('second', 'cluster_size=2M');
  const first = value(await guardHeader(at('first'), { format: 'qcow2' }));
  const second = value(await guardHeader(at('second'), { format: 'qcow2' }));
  if (first.format !== 'qcow2' || second.format !== 'qcow2') throw new Error('asked for as qcow2');
  const header = Buffer.alloc(second.luks.headerBytes);
  const from = await open(at('second'), 'r');
  await from.read(header, 0, header.length, second.luksOffset);
  await from.close();

  const file = await open(at('first'), 'r+');
  const placeAt = (await file.stat()).size + first.clusterBytes - ((await file.stat()).size % first.clusterBytes);
  await file.write(header, 0, header.length, placeAt);
  const head = Buffer.alloc(65_536 + 32);
  await file.read(head, 0, 65_536, 0);
  // qemu-img writes the encryption header first, and the names of features behind it, which may be as long as they like.
  const namesAt = head.readUInt32BE(100) + 24;
  expect(head.readUInt32BE(namesAt)).toBe(0x6803f857);
  head.writeUInt32BE(65_536 - namesAt - 8, namesAt + 4);
  head.copy(head, 65_536, namesAt - 24, namesAt);
  head.writeBigUInt64BE(BigInt(placeAt), 65_536 + 8);
  head.writeBigUInt64BE(BigInt(header.length), 65_536 + 16);
  await file.write(head, 0, head.length, 0);
  await file.close();

  expect((await infoOf('first'))['format-specific'].data.encrypt.uuid).toBe(second.luks.uuid);
  expect(codeOf(await guardHeader(at('first'), { format: 'qcow2' }))).toBe('QCOW2_EXTENSION');
});

const refused: readonly (readonly [string, string, (file: string) => Promise<unknown>])[] = [
  ['an unencrypted image', 'QCOW2_NOT_LUKS', (file) => qemuImg('create', '-q', '-f', 'qcow2', file, '64M')],
  [
    'the old AES',
    'QCOW2_NOT_LUKS',
    (file) => qemuImg('create', '-q', ...SECRET(), '-f', 'qcow2', '-o', 'encrypt.format=aes,encrypt.key-secret=s', file, '64M'),
  ],
  [
    'a backing file',
    'QCOW2_BACKING_FILE',
    (file) => qemuImg('create', '-q', ...SECRET(), '-f', 'qcow2', '-o', LUKS, '-b', at('base.raw'), '-F', 'raw', file),
  ],
  [
    'an external data file',
    'QCOW2_DATA_FILE',
    (file) => qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${at('data')}`, file, '64M'),
  ],
  [
    'a snapshot',
    'QCOW2_SNAPSHOTS',
    async (file) => {
      await qemuImg('create', '-q', '-f', 'qcow2', file, '64M');
      await qemuImg('snapshot', '-c', 'one', file);
    },
  ],
  ['a plain raw disk', 'QCOW2_MAGIC', (file) => qemuImg('create', '-q', '-f', 'raw', file, '64M')],
  ['a vmdk', 'QCOW2_MAGIC', (file) => qemuImg('create', '-q', '-f', 'vmdk', file, '64M')],
];
test.each(refused)('%s: %s', async (_, code, create) => {
  await create(at('bad'));
  expect(codeOf(await guardHeader(at('bad'), { format: 'qcow2' }))).toBe(code);
  await rm(at('bad'));
});

test('LUKS as raw; a LUKS volume is no qcow2, a qcow2 no raw volume', async () => {
  await qemuImg('create', '-q', ...SECRET(), '-f', 'luks', '-o', 'key-secret=s,hash-alg=sha512,iter-time=10', at('luks'), '64M');
  await createLuks('qcow2', '');
  expect(value(await guardHeader(at('luks'), { format: 'raw', capacityBytes: 67_108_864 })).luks.activeSlots).toEqual([0]);
  expect(codeOf(await guardHeader(at('luks'), { format: 'qcow2' }))).toBe('QCOW2_MAGIC');
  expect(codeOf(await guardHeader(at('qcow2'), { format: 'raw' }))).toBe('RAW_DISGUISED');
  expect(codeOf(await guardHeader(at('base.raw'), { format: 'raw' }))).toBe('RAW_NOT_ENCRYPTED');
});

test('the digest of the LUKS header moves with a key slot, not with the data', async () => {
  await createLuks('slots', '');
  const digest = async (): Promise<string> => value(await luksHeaderDigest(at('slots'), { format: 'qcow2' }));
  const before = await digest();
  await run('qemu-io', [
    ...SECRET(),
    '-c',
    'write -P 7 0 1M',
    '--image-opts',
    `driver=qcow2,encrypt.key-secret=s,file.filename=${at('slots')}`,
  ]);
  expect(await digest()).toBe(before);
  await writeFile(at('secret2'), 'another passphrase');
  const image = `driver=qcow2,encrypt.key-secret=s,file.filename=${at('slots')}`;
  await qemuImg(
    'amend',
    ...SECRET(),
    '--object',
    `secret,id=n,file=${at('secret2')}`,
    '-o',
    'encrypt.new-secret=n,encrypt.state=active,encrypt.iter-time=10',
    '--image-opts',
    image,
  );
  expect(await digest()).not.toBe(before);
});

test('whatever the guard accepts of a damaged header, qemu finds no other file in it', async () => {
  await createLuks('fuzz', '');
  const handle = await open(at('fuzz'), 'r+');
  const original = Buffer.alloc(136);
  await handle.read(original, 0, original.length, 0);
  let accepted = 0;
  for (let step = 0; step < 60; step++) {
    const changed = Buffer.from(original);
    const place = (step * 37) % original.length;
    changed.writeUInt8(changed.readUInt8(place) ^ (1 << (step % 8)), place);
    await handle.write(changed, 0, changed.length, 0);
    if (!(await guardHeader(at('fuzz'), { format: 'qcow2' })).ok) continue;
    accepted++;
    const info = await qemuImg('info', '--output=json', '-f', 'qcow2', at('fuzz')).catch(() => '{}'); // refusing more than we do is fine
    expect(info).not.toMatch(/backing-filename|"data-file"|"snapshots"/);
  }
  await handle.close();
  expect(accepted).toBeLessThan(60);
});
