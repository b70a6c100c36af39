import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { BLOCK_COPY_FLAGS, BLOCK_JOB_ABORT_FLAGS, type Flags, flagWord } from './flags.ts';
import { type Domain, nameOf, writeDomain } from './handles.ts';
import { done, long, quick } from './procedure.ts';
import { type TypedParameter, writeParameters } from './typed-parameter.ts';
import type { XdrReader } from './xdr-reader.ts';

/** virDomainBlockJobType, in the order of its numbers. */
export const BLOCK_JOB_TYPES = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'] as const;
export type BlockJobType = (typeof BLOCK_JOB_TYPES)[number];

/**
 * virDomainBlockJobInfo. `done`/`total` are the job's own measure, not bytes of the disk; equal numbers do not yet
 * mean that a copy may be pivoted to: the notice `block-job` says `ready`, and so does `<mirror ready='yes'>` in the domain's XML.
 */
export type BlockJobInfo = { readonly type: BlockJobType; readonly done: bigint; readonly total: bigint };

export type BlockCopyOptions = CallOptions & {
  readonly flags?: Flags<typeof BLOCK_COPY_FLAGS>;
  /** 0, the default: as fast as it goes. */
  readonly bandwidthBytesPerSecond?: bigint;
};

const P = {
  // Long: ends after what the guest has in flight has been written to the volume that it keeps.
  abort: long(
    237,
    'block job abort',
    (w, domain: Domain, disk: string, flags: number) => writeDomain(w, domain).string(disk).uint(flags),
    done,
  ),
  info: quick(238, 'block job info', (w, domain: Domain, disk: string) => writeDomain(w, domain).string(disk).uint(0), readInfo),
  copy: quick(
    345,
    'block copy',
    (w, domain: Domain, disk: string, xml: string, parameters: readonly TypedParameter[], flags: number) =>
      writeParameters(writeDomain(w, domain).string(disk).string(xml), parameters).uint(flags),
    done,
  ),
} as const;

/** What a running guest's disk is busy with. `disk` is its target, e.g. `vda`. */
export type BlockJobs = ReturnType<typeof blockJobs>;

export function blockJobs(channel: Channel) {
  return {
    /**
     * Begins to mirror a disk to another volume (virDomainBlockCopy): settles when begun, and the job goes on without this
     * connection. A persistent domain needs `transient-job`, for QEMU would not resume it when the guest is started again.
     * @param destinationXml a `<disk>` whose `<source>` is the volume, with the secret that opens it
     */
    copy: (
      domain: Domain,
      disk: string,
      destinationXml: string,
      { flags, bandwidthBytesPerSecond, ...options }: BlockCopyOptions = {},
    ) =>
      channel.call(
        P.copy,
        [domain, disk, destinationXml, bandwidth(bandwidthBytesPerSecond), flagWord(BLOCK_COPY_FLAGS, flags)],
        options,
      ),
    /** Undefined when the disk has no job. */
    info: (domain: Domain, disk: string, options?: CallOptions): Promise<BlockJobInfo | undefined> =>
      channel.call(P.info, [domain, disk], options),
    /** Ends the job; the guest keeps the old volume, with `pivot` the new one, and both are whole. Refused before the copy is ready to pivot. */
    abort: (
      domain: Domain,
      disk: string,
      { flags, ...options }: CallOptions & { readonly flags?: Flags<typeof BLOCK_JOB_ABORT_FLAGS> } = {},
    ) => channel.call(P.abort, [domain, disk, flagWord(BLOCK_JOB_ABORT_FLAGS, flags)], options),
  } as const;
}

function bandwidth(value: bigint | undefined): readonly TypedParameter[] {
  return value === undefined ? [] : [{ field: 'bandwidth', type: 'ullong', value }];
}

function readInfo(r: XdrReader): BlockJobInfo | undefined {
  const [found, type] = [r.int(), nameOf(BLOCK_JOB_TYPES, r.int())];
  // The speed it was limited to: we have set it ourselves.
  r.uhyper();
  const info = { type, done: r.uhyper(), total: r.uhyper() };
  return found === 0 ? undefined : info;
}
