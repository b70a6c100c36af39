import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

/*
 * What libvirt passes around to name its objects. Plain data: keep them, compare them, send them on.
 * They hold no connection and stay valid across reconnects as long as the object exists.
 */

export type Domain = {
  readonly name: string;
  readonly uuid: string;
  /** Of the running instance; -1 when the domain was not running. libvirt looks a domain up by its uuid. */
  readonly id: number;
};

export type Secret = {
  readonly uuid: string;
  readonly usageType: SecretUsage;
  /** Unique per usage type; empty for `none`. */
  readonly usageId: string;
};

export type StoragePool = { readonly name: string; readonly uuid: string };

export type Volume = {
  readonly pool: string;
  readonly name: string;
  /** Unique on the host; for files the path. */
  readonly key: string;
};

export type Checkpoint = { readonly name: string; readonly domain: Domain };

/** virSecretUsageType. */
export const SECRET_USAGES = ['none', 'volume', 'ceph', 'iscsi', 'tls', 'vtpm'] as const;
export type SecretUsage = (typeof SECRET_USAGES)[number] | 'unknown';

export function writeDomain(writer: XdrWriter, domain: Domain): XdrWriter {
  return writer.string(domain.name).uuid(domain.uuid).int(domain.id);
}

export function readDomain(reader: XdrReader): Domain {
  return { name: reader.string(), uuid: reader.uuid(), id: reader.int() };
}

export function writeSecret(writer: XdrWriter, secret: Secret): XdrWriter {
  return writer.uuid(secret.uuid).int(usageNumber(secret.usageType)).string(secret.usageId);
}

export function readSecret(reader: XdrReader): Secret {
  return { uuid: reader.uuid(), usageType: nameOf(SECRET_USAGES, reader.int()), usageId: reader.string() };
}

export function writePool(writer: XdrWriter, pool: StoragePool): XdrWriter {
  return writer.string(pool.name).uuid(pool.uuid);
}

export function readPool(reader: XdrReader): StoragePool {
  return { name: reader.string(), uuid: reader.uuid() };
}

export function writeVolume(writer: XdrWriter, volume: Volume): XdrWriter {
  return writer.string(volume.pool).string(volume.name).string(volume.key);
}

export function readVolume(reader: XdrReader): Volume {
  return { pool: reader.string(), name: reader.string(), key: reader.string() };
}

export function writeCheckpoint(writer: XdrWriter, checkpoint: Checkpoint): XdrWriter {
  return writeDomain(writer.string(checkpoint.name), checkpoint.domain);
}

export function readCheckpoint(reader: XdrReader): Checkpoint {
  return { name: reader.string(), domain: readDomain(reader) };
}

/** The name of an enum's number; `unknown` for one that a newer libvirt has added. */
export function nameOf<Name extends string>(names: readonly Name[], value: number): Name | 'unknown' {
  return names[value] ?? 'unknown';
}

/** The number is only a hint beside the uuid, so that a usage newer than this table still works. */
export function usageNumber(usage: SecretUsage): number {
  return usage === 'unknown' ? 0 : SECRET_USAGES.indexOf(usage);
}
