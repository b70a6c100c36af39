import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { type Flags, flagWord, JOB_STATS_FLAGS } from './flags.ts';
import { type Domain, nameOf, writeDomain } from './handles.ts';
import { done, quick } from './procedure.ts';
import { readParameters, type TypedParameter } from './typed-parameter.ts';
import type { XdrReader } from './xdr-reader.ts';

/** virDomainJobType. `unbounded`: its end cannot be told, as for a guest that dirties memory. */
const JOB_TYPES = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled'] as const;
export type JobType = (typeof JOB_TYPES)[number] | 'unknown';

export type Progress = { readonly totalBytes: bigint; readonly processedBytes: bigint; readonly remainingBytes: bigint };

/** virDomainJobInfo: the same for every driver. */
export type JobInfo = {
  readonly type: JobType;
  readonly elapsedMs: bigint;
  /** 0 when libvirt cannot tell. */
  readonly remainingMs: bigint;
  readonly data: Progress;
  readonly memory: Progress;
  /** Disks. */
  readonly file: Progress;
};

export type JobStats = {
  readonly type: JobType;
  /** `operation`, `time_elapsed`, `downtime`, `memory_total`, `disk_remaining` … (VIR_DOMAIN_JOB_*). */
  readonly parameters: readonly TypedParameter[];
};

const P = {
  info: quick(163, 'job info', writeDomain, readInfo),
  abort: quick(164, 'job abort', writeDomain, done),
  stats: quick(
    298,
    'job statistics',
    (w, domain: Domain, flags: number) => writeDomain(w, domain).uint(flags),
    (r): JobStats => ({ type: nameOf(JOB_TYPES, r.int()), parameters: readParameters(r) }),
  ),
} as const;

/** What a domain is busy with: save, migration, backup. At most one job changes it at a time. */
export type Jobs = ReturnType<typeof jobs>;

export function jobs(channel: Channel) {
  return {
    info: (domain: Domain, options?: CallOptions) => channel.call(P.info, [domain], options),
    /** With `completed`, of the last job that ended; libvirt tells it once unless `keep-completed` is given too. */
    stats: (domain: Domain, { flags, ...options }: CallOptions & { readonly flags?: Flags<typeof JOB_STATS_FLAGS> } = {}) =>
      channel.call(P.stats, [domain, flagWord(JOB_STATS_FLAGS, flags)], options),
    /** The guest goes on as before. Passes the queue, since the job's own call may be what fills it. */
    abort: (domain: Domain, options?: CallOptions) => channel.call(P.abort, [domain], { ...options, urgent: 'urgent' }),
  } as const;
}

function readInfo(r: XdrReader): JobInfo {
  const type = nameOf(JOB_TYPES, r.int());
  const [elapsedMs, remainingMs] = [r.uhyper(), r.uhyper()];
  return { type, elapsedMs, remainingMs, data: readProgress(r), memory: readProgress(r), file: readProgress(r) };
}

function readProgress(r: XdrReader): Progress {
  return { totalBytes: r.uhyper(), processedBytes: r.uhyper(), remainingBytes: r.uhyper() };
}
