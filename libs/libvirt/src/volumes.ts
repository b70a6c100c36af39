import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { type Flags, flagWord, VOLUME_CREATE_FLAGS, VOLUME_DELETE_FLAGS, VOLUME_RESIZE_FLAGS } from './flags.ts';
import { nameOf, readVolume, type StoragePool, type Volume, writePool, writeVolume } from './handles.ts';
import { done, listOf, long, quick } from './procedure.ts';
import { openStream } from './stream.ts';
import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

const volumeAndFlags = (w: XdrWriter, volume: Volume, flags: number): XdrWriter => writeVolume(w, volume).uint(flags);
const textAlone = (w: XdrWriter, text: string): XdrWriter => w.string(text);
const range = (w: XdrWriter, volume: Volume, offset: bigint, length: bigint): XdrWriter =>
  writeVolume(w, volume).uhyper(offset).uhyper(length).uint(0);

const P = {
  createXml: long(
    93,
    'volume create',
    (w, pool: StoragePool, xml: string, flags: number) => writePool(w, pool).string(xml).uint(flags),
    readVolume,
  ),
  delete: long(94, 'volume delete', volumeAndFlags, done),
  lookupByName: quick(
    95,
    'volume lookup by name',
    (w, pool: StoragePool, name: string) => writePool(w, pool).string(name),
    readVolume,
  ),
  lookupByKey: quick(96, 'volume lookup by key', textAlone, readVolume),
  lookupByPath: quick(97, 'volume lookup by path', textAlone, readVolume),
  getInfo: quick(98, 'volume info', writeVolume, readInfo),
  getXml: quick(99, 'volume XML', volumeAndFlags, (r) => r.string()),
  getPath: quick(100, 'volume path', writeVolume, (r) => r.string()),
  wipe: long(165, 'volume wipe', volumeAndFlags, done),
  upload: quick(208, 'volume upload', range, done),
  download: quick(209, 'volume download', range, done),
  resize: long(
    260,
    'volume resize',
    (w, volume: Volume, bytes: bigint, flags: number) => writeVolume(w, volume).uhyper(bytes).uint(flags),
    done,
  ),
  listAll: quick(282, 'volume list', (w, pool: StoragePool) => writePool(w, pool).uint(1).uint(0), listOf(readVolume)),
} as const;

const VOLUME_TYPES = ['file', 'block', 'dir', 'network', 'netdir', 'ploop'] as const;

/** virStorageVolInfo. */
export type VolumeInfo = {
  readonly type: (typeof VOLUME_TYPES)[number] | 'unknown';
  /** What the guest sees. */
  readonly capacityBytes: bigint;
  /** What the host gives. */
  readonly allocationBytes: bigint;
};

export type RangeOptions = CallOptions & {
  /** Bytes from the start of the volume's own file or device. */
  readonly offset?: bigint;
  /** At most so many bytes; to the end by default. */
  readonly length?: bigint;
};

type With<Table> = CallOptions & { readonly flags?: Flags<Table> };

/** Volumes of storage pools, and their bytes (libvirt-storage.h). */
export type Volumes = ReturnType<typeof volumes>;

export function volumes(channel: Channel) {
  return {
    create: (pool: StoragePool, xml: string, { flags, ...options }: With<typeof VOLUME_CREATE_FLAGS> = {}) =>
      channel.call(P.createXml, [pool, xml, flagWord(VOLUME_CREATE_FLAGS, flags)], options),
    delete: (volume: Volume, { flags, ...options }: With<typeof VOLUME_DELETE_FLAGS> = {}) =>
      channel.call(P.delete, [volume, flagWord(VOLUME_DELETE_FLAGS, flags)], options),
    lookupByName: (pool: StoragePool, name: string, options?: CallOptions) => channel.call(P.lookupByName, [pool, name], options),
    lookupByKey: (key: string, options?: CallOptions) => channel.call(P.lookupByKey, [key], options),
    lookupByPath: (path: string, options?: CallOptions) => channel.call(P.lookupByPath, [path], options),
    list: (pool: StoragePool, options?: CallOptions) => channel.call(P.listAll, [pool], options),
    info: (volume: Volume, options?: CallOptions) => channel.call(P.getInfo, [volume], options),
    xml: (volume: Volume, options?: CallOptions) => channel.call(P.getXml, [volume, 0], options),
    /** On the daemon's host. */
    path: (volume: Volume, options?: CallOptions) => channel.call(P.getPath, [volume], options),
    resize: (volume: Volume, capacityBytes: bigint, { flags, ...options }: With<typeof VOLUME_RESIZE_FLAGS> = {}) =>
      channel.call(P.resize, [volume, capacityBytes, flagWord(VOLUME_RESIZE_FLAGS, flags)], options),
    /** Overwrites with zeros; what a copy-on-write file system or flash keeps aside it does not reach. */
    wipe: (volume: Volume, options?: CallOptions) => channel.call(P.wipe, [volume, 0], options),

    /**
     * Writes bytes into the volume as it lies on disk, no faster than the daemon takes them. Settles when
     * the daemon has confirmed the end. `timeoutMs` bounds each step, not the whole.
     */
    async upload(
      volume: Volume,
      source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
      { offset = 0n, length = 0n, ...options }: RangeOptions = {},
    ): Promise<void> {
      const stream = await openStream(channel, P.upload, [volume, offset, length], options);
      const chunks = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
      try {
        for (;;) {
          const next = await stream.during(Promise.resolve(chunks.next()));
          if (next.done === true) break;
          await stream.send(next.value);
        }
        await stream.finish();
      } catch (cause) {
        stream.abort();
        // Not awaited: a source that hangs is perhaps why we are here.
        Promise.resolve(chunks.return?.()).catch(() => undefined);
        throw cause;
      }
    },

    /**
     * The bytes of the volume as it lies on disk. A consumer that is slow stops the reading of the whole
     * connection, so that memory stays bounded: give bulk transfers a connection of their own. Leaving the
     * loop early aborts the stream.
     */
    async *download(
      volume: Volume,
      { offset = 0n, length = 0n, ...options }: RangeOptions = {},
    ): AsyncGenerator<Uint8Array, void> {
      const stream = await openStream(channel, P.download, [volume, offset, length], options);
      try {
        for (let chunk = await stream.receive(); chunk !== undefined; chunk = await stream.receive()) yield chunk;
        await stream.finish();
      } finally {
        stream.abort();
      }
    },
  } as const;
}

function readInfo(r: XdrReader): VolumeInfo {
  return { type: nameOf(VOLUME_TYPES, r.int()), capacityBytes: r.uhyper(), allocationBytes: r.uhyper() };
}
