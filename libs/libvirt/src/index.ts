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
export type { Domain, Secret, SecretUsage } from './handles.ts';
export type { DomainCapabilitiesQuestion, Host } from './host.ts';
export type { KeepaliveOptions } from './keepalive.ts';
export type { LifecycleDetail, LifecycleEvent, NoticeKind, Notices } from './notices.ts';
export type { Secrets } from './secrets.ts';
export type { Transport } from './transport.ts';
export { parameterValue, type TypedParameter } from './typed-parameter.ts';
