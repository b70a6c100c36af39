export * from './codes.ts';
export * from './command/command.ts';
export * from './command/report.ts';
export * from './command/result.ts';
export * from './command/scalars.ts';
