export * from './client.ts';
export * from './publisher.ts';
export * from './codes.ts';
