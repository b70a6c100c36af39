export { type ConsoleConfig, consoleConfig } from './config.ts';
export { type RunningConsole, startConsole } from './console.ts';
