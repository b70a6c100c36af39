export { type Answer, type Refused, StreamRefused } from './answer.ts';
export * from './audit-codes.ts';
export { type BrokerAddress, type BrokerClient, type ClientOptions, connectBroker } from './client.ts';
export * from './codes.ts';
export * from './context.ts';
export * from './finding-codes.ts';
export * from './policy-crypto.ts';
export * from './policy-files.ts';
export * from './publisher.ts';
