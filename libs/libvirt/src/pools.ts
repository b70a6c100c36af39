import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import {
  type Flags,
  flagWord,
  POOL_BUILD_FLAGS,
  POOL_CREATE_FLAGS,
  POOL_DELETE_FLAGS,
  POOL_LIST_FLAGS,
  POOL_XML_FLAGS,
} from './flags.ts';
import { nameOf, readPool, type StoragePool, writePool } from './handles.ts';
import { done, listOf, long, quick } from './procedure.ts';
import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

const poolAndFlags = (w: XdrWriter, pool: StoragePool, flags: number): XdrWriter => writePool(w, pool).uint(flags);
const textAndFlags = (w: XdrWriter, text: string, flags: number): XdrWriter => w.string(text).uint(flags);

const P = {
  createXml: quick(76, 'pool create from XML', textAndFlags, readPool),
  defineXml: quick(77, 'pool define', textAndFlags, readPool),
  create: quick(78, 'pool create', poolAndFlags, done),
  build: quick(79, 'pool build', poolAndFlags, done),
  destroy: quick(80, 'pool destroy', writePool, done),
  delete: long(81, 'pool delete', poolAndFlags, done),
  undefine: quick(82, 'pool undefine', writePool, done),
  refresh: long(83, 'pool refresh', poolAndFlags, done),
  lookupByName: quick(84, 'pool lookup by name', (w, name: string) => w.string(name), readPool),
  lookupByUuid: quick(85, 'pool lookup by uuid', (w, uuid: string) => w.uuid(uuid), readPool),
  getInfo: quick(87, 'pool info', writePool, readInfo),
  getXml: quick(88, 'pool XML', poolAndFlags, (r) => r.string()),
  isActive: quick(154, 'pool is active', writePool, (r) => r.bool()),
  listAll: quick(281, 'pool list', (w, flags: number) => w.uint(1).uint(flags), listOf(readPool)),
} as const;

const POOL_STATES = ['inactive', 'building', 'running', 'degraded', 'inaccessible'] as const;

/** virStoragePoolInfo. */
export type PoolInfo = {
  readonly state: (typeof POOL_STATES)[number] | 'unknown';
  readonly capacityBytes: bigint;
  readonly allocationBytes: bigint;
  readonly availableBytes: bigint;
};

type With<Table> = CallOptions & { readonly flags?: Flags<Table> };

/** Storage pools: where volumes lie (libvirt-storage.h). */
export type Pools = ReturnType<typeof pools>;

export function pools(channel: Channel) {
  return {
    define: (xml: string, options?: CallOptions) => channel.call(P.defineXml, [xml, 0], options),
    /** Makes the place itself: directory, file system, volume group. */
    build: (pool: StoragePool, { flags, ...options }: With<typeof POOL_BUILD_FLAGS> = {}) =>
      channel.call(P.build, [pool, flagWord(POOL_BUILD_FLAGS, flags)], options),
    /** Starts a defined pool. */
    create: (pool: StoragePool, { flags, ...options }: With<typeof POOL_CREATE_FLAGS> = {}) =>
      channel.call(P.create, [pool, flagWord(POOL_CREATE_FLAGS, flags)], options),
    /** Starts a transient pool. */
    createTransient: (xml: string, { flags, ...options }: With<typeof POOL_CREATE_FLAGS> = {}) =>
      channel.call(P.createXml, [xml, flagWord(POOL_CREATE_FLAGS, flags)], options),
    /** Stops it; the volumes stay. */
    destroy: (pool: StoragePool, options?: CallOptions) => channel.call(P.destroy, [pool], options),
    /** Removes the place itself; of a directory only an empty one. */
    delete: (pool: StoragePool, { flags, ...options }: With<typeof POOL_DELETE_FLAGS> = {}) =>
      channel.call(P.delete, [pool, flagWord(POOL_DELETE_FLAGS, flags)], options),
    undefine: (pool: StoragePool, options?: CallOptions) => channel.call(P.undefine, [pool], options),
    /** Looks again at what lies in it: files made by others appear only then. */
    refresh: (pool: StoragePool, options?: CallOptions) => channel.call(P.refresh, [pool, 0], options),
    lookupByName: (name: string, options?: CallOptions) => channel.call(P.lookupByName, [name], options),
    lookupByUuid: (uuid: string, options?: CallOptions) => channel.call(P.lookupByUuid, [uuid], options),
    list: ({ flags, ...options }: With<typeof POOL_LIST_FLAGS> = {}) =>
      channel.call(P.listAll, [flagWord(POOL_LIST_FLAGS, flags)], options),
    info: (pool: StoragePool, options?: CallOptions) => channel.call(P.getInfo, [pool], options),
    isActive: (pool: StoragePool, options?: CallOptions) => channel.call(P.isActive, [pool], options),
    xml: (pool: StoragePool, { flags, ...options }: With<typeof POOL_XML_FLAGS> = {}) =>
      channel.call(P.getXml, [pool, flagWord(POOL_XML_FLAGS, flags)], options),
  } as const;
}

function readInfo(r: XdrReader): PoolInfo {
  return {
    state: nameOf(POOL_STATES, r.uint()),
    capacityBytes: r.uhyper(),
    allocationBytes: r.uhyper(),
    availableBytes: r.uhyper(),
  };
}
