export type { JourneyKey } from './agenda.ts';
export * from './config.ts';
export * from './health.ts';
export * from './limits.ts';
export * from './log.ts';
export * from './loop.ts';
export * from './metrics.ts';
export * from './service.ts';
export * from './shutdown.ts';
