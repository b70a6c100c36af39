export * from './client.ts';
export * from './publisher.ts';
