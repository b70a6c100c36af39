import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import {
  BACKUP_FLAGS,
  CHECKPOINT_CREATE_FLAGS,
  CHECKPOINT_DELETE_FLAGS,
  CHECKPOINT_LIST_FLAGS,
  CHECKPOINT_XML_FLAGS,
  type Flags,
  flagWord,
} from './flags.ts';
import { type Checkpoint, type Domain, readCheckpoint, writeCheckpoint, writeDomain } from './handles.ts';
import { done, listOf, quick } from './procedure.ts';
import type { XdrWriter } from './xdr-writer.ts';

const checkpointAndFlags = (w: XdrWriter, checkpoint: Checkpoint, flags: number): XdrWriter =>
  writeCheckpoint(w, checkpoint).uint(flags);
const domainTextFlags = (w: XdrWriter, domain: Domain, value: string, flags: number): XdrWriter =>
  writeDomain(w, domain).string(value).uint(flags);

const P = {
  createXml: quick(411, 'checkpoint create', domainTextFlags, readCheckpoint),
  getXml: quick(412, 'checkpoint XML', checkpointAndFlags, (r) => r.string()),
  listAll: quick(
    413,
    'checkpoint list',
    (w, domain: Domain, flags: number) => writeDomain(w, domain).int(1).uint(flags),
    listOf(readCheckpoint),
  ),
  lookupByName: quick(415, 'checkpoint lookup by name', domainTextFlags, readCheckpoint),
  delete: quick(417, 'checkpoint delete', checkpointAndFlags, done),
  backupBegin: quick(
    421,
    'backup begin',
    (w, domain: Domain, backup: string, checkpoint: string | undefined, flags: number) =>
      writeDomain(w, domain).string(backup).optionalString(checkpoint).uint(flags),
    done,
  ),
  backupXml: quick(
    422,
    'backup XML',
    (w, domain: Domain) => writeDomain(w, domain).uint(0),
    (r) => r.string(),
  ),
} as const;

type With<Table> = CallOptions & { readonly flags?: Flags<Table> };

/** Points in time from which changed blocks are known (libvirt-domain-checkpoint.h). */
export type Checkpoints = ReturnType<typeof checkpoints>;

export function checkpoints(channel: Channel) {
  return {
    create: (domain: Domain, xml: string, { flags, ...options }: With<typeof CHECKPOINT_CREATE_FLAGS> = {}) =>
      channel.call(P.createXml, [domain, xml, flagWord(CHECKPOINT_CREATE_FLAGS, flags)], options),
    lookupByName: (domain: Domain, name: string, options?: CallOptions) =>
      channel.call(P.lookupByName, [domain, name, 0], options),
    list: (domain: Domain, { flags, ...options }: With<typeof CHECKPOINT_LIST_FLAGS> = {}) =>
      channel.call(P.listAll, [domain, flagWord(CHECKPOINT_LIST_FLAGS, flags)], options),
    xml: (checkpoint: Checkpoint, { flags, ...options }: With<typeof CHECKPOINT_XML_FLAGS> = {}) =>
      channel.call(P.getXml, [checkpoint, flagWord(CHECKPOINT_XML_FLAGS, flags)], options),
    delete: (checkpoint: Checkpoint, { flags, ...options }: With<typeof CHECKPOINT_DELETE_FLAGS> = {}) =>
      channel.call(P.delete, [checkpoint, flagWord(CHECKPOINT_DELETE_FLAGS, flags)], options),
  } as const;
}

/** Copies of a running guest's disks. A backup is a job: see `jobs` for its progress, abort and end. */
export type Backups = ReturnType<typeof backups>;

export function backups(channel: Channel) {
  return {
    /** Returns when it has begun. The checkpoint, if any, is made at the same instant. */
    begin: (
      domain: Domain,
      xml: string,
      { checkpointXml, flags, ...options }: With<typeof BACKUP_FLAGS> & { readonly checkpointXml?: string } = {},
    ) => channel.call(P.backupBegin, [domain, xml, checkpointXml, flagWord(BACKUP_FLAGS, flags)], options),
    /** Of the running backup, with the ports and sockets that libvirt chose. */
    xml: (domain: Domain, options?: CallOptions) => channel.call(P.backupXml, [domain], options),
  } as const;
}
