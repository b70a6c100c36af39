import { BLOCK_JOB_TYPES, type BlockJobType } from './block-jobs.ts';
import { type Domain, nameOf, readDomain, readSecret, type Secret } from './handles.ts';
import { readParameters, type TypedParameter } from './typed-parameter.ts';
import type { XdrReader } from './xdr-reader.ts';

/** virDomainEventType, in the order of its numbers, with the details of each (virDomainEventStartedDetailType …). */
const LIFECYCLE = [
  ['defined', ['added', 'updated', 'renamed', 'from-snapshot']],
  ['undefined', ['removed', 'renamed']],
  ['started', ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup', 'recovered']],
  [
    'suspended',
    ['paused', 'migrated', 'ioerror', 'watchdog', 'restored', 'from-snapshot', 'api-error', 'postcopy', 'postcopy-failed'],
  ],
  ['resumed', ['unpaused', 'migrated', 'from-snapshot', 'postcopy', 'postcopy-failed']],
  ['stopped', ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot']],
  ['shutdown', ['finished', 'guest', 'host']],
  ['pmsuspended', ['memory', 'disk']],
  ['crashed', ['panicked', 'crashloaded']],
] as const;

export type LifecycleEvent = (typeof LIFECYCLE)[number][0] | 'unknown';
export type LifecycleDetail = (typeof LIFECYCLE)[number][1][number] | 'unknown';

/** virConnectDomainEventBlockJobStatus. `ready`: the copy follows what the guest writes, and may be pivoted to. */
const BLOCK_JOB_STATUSES = ['completed', 'failed', 'canceled', 'ready'] as const;

const SECRET_EVENTS = ['defined', 'undefined'] as const;

/** What libvirt tells unasked, by kind. libvirt says event; this library keeps its word for the type of one. */
export type Notices = {
  readonly lifecycle: { readonly domain: Domain; readonly event: LifecycleEvent; readonly detail: LifecycleDetail };
  readonly reboot: { readonly domain: Domain };
  /** A pass over the guest's memory during a migration. */
  readonly 'migration-iteration': { readonly domain: Domain; readonly iteration: number };
  /** Save, migration or backup ended; the statistics are those of `domains.jobStats`. */
  readonly 'job-completed': { readonly domain: Domain; readonly statistics: readonly TypedParameter[] };
  /** `disk` is its target, e.g. `vda` (libvirt's second form of this event; the first gave the path, which a pivot changes). */
  readonly 'block-job': {
    readonly domain: Domain;
    readonly disk: string;
    readonly type: BlockJobType;
    readonly status: (typeof BLOCK_JOB_STATUSES)[number] | 'unknown';
  };
  readonly 'secret-lifecycle': { readonly secret: Secret; readonly event: (typeof SECRET_EVENTS)[number] | 'unknown' };
  readonly 'secret-value-changed': { readonly secret: Secret };
};

export type NoticeKind = keyof Notices;

export type NoticeFormat<Notice> = {
  /** Which registration: domain (316/317) or secret (380/381). */
  readonly source: 'domain' | 'secret';
  /** virDomainEventID or virSecretEventID. */
  readonly eventId: number;
  /** The procedure under which the daemon sends it. */
  readonly procedure: number;
  /** Behind the callback's id. */
  readonly read: (reader: XdrReader) => Notice;
};

export const NOTICE_FORMATS: { readonly [Kind in NoticeKind]: NoticeFormat<Notices[Kind]> } = {
  lifecycle: { source: 'domain', eventId: 0, procedure: 318, read: readLifecycle },
  reboot: { source: 'domain', eventId: 1, procedure: 319, read: (r) => ({ domain: readDomain(r) }) },
  'migration-iteration': {
    source: 'domain',
    eventId: 20,
    procedure: 359,
    read: (r) => ({ domain: readDomain(r), iteration: r.int() }),
  },
  'job-completed': {
    source: 'domain',
    eventId: 21,
    procedure: 363,
    read: (r) => ({ domain: readDomain(r), statistics: readParameters(r) }),
  },
  'block-job': {
    source: 'domain',
    eventId: 16,
    procedure: 339,
    read: (r) => ({
      domain: readDomain(r),
      disk: r.string(),
      type: nameOf(BLOCK_JOB_TYPES, r.int()),
      status: nameOf(BLOCK_JOB_STATUSES, r.int()),
    }),
  },
  'secret-lifecycle': {
    source: 'secret',
    eventId: 0,
    procedure: 382,
    read: (r) => {
      const [secret, event] = [readSecret(r), nameOf(SECRET_EVENTS, r.int())];
      // A detail that libvirt does not use yet.
      r.int();
      return { secret, event };
    },
  },
  'secret-value-changed': { source: 'secret', eventId: 1, procedure: 383, read: (r) => ({ secret: readSecret(r) }) },
};

function readLifecycle(r: XdrReader): Notices['lifecycle'] {
  const domain = readDomain(r);
  const [event, details] = LIFECYCLE[r.int()] ?? ['unknown', []];
  return { domain, event, detail: nameOf<LifecycleDetail>(details, r.int()) };
}
