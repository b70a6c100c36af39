export { run } from './program.ts';
export type { Streams } from './world.ts';
