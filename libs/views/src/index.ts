export * from './migration-row.ts';
export * from './migration-table.ts';
