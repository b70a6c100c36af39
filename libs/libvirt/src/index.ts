export type { BlockCopyOptions, BlockJobInfo, BlockJobs, BlockJobType } from './block-jobs.ts';
export type { Backups, Checkpoints } from './checkpoints.ts';
export { type Connection, type ConnectOptions, connect } from './connect.ts';
export type { CallOptions } from './deadline.ts';
export type { DomainState, DomainStateName, DomainStateReason } from './domain-state.ts';
export type { Autostart, DomainInfo, Domains } from './domains.ts';
export {
  type Effect,
  isRemoteError,
  LibvirtError,
  type LibvirtErrorCode,
  RemoteErrorNumber,
  type RemoteReport,
} from './error.ts';
export type { Events, SubscribeOptions, Subscription } from './events.ts';
export type { Checkpoint, Domain, Secret, SecretUsage, StoragePool, Volume } from './handles.ts';
export type { DomainCapabilitiesQuestion, Host } from './host.ts';
export type { JobInfo, JobStats, Jobs, JobType, Progress } from './jobs.ts';
export type { KeepaliveOptions } from './keepalive.ts';
export type { MigrateOptions, Migration } from './migration.ts';
export type { Monitor } from './monitor.ts';
export type { LifecycleDetail, LifecycleEvent, NoticeKind, Notices } from './notices.ts';
export type { PoolInfo, Pools } from './pools.ts';
export type { Secrets } from './secrets.ts';
export type { Transport } from './transport.ts';
export { parameterValue, type TypedParameter } from './typed-parameter.ts';
export type { RangeOptions, VolumeInfo, Volumes } from './volumes.ts';
