/** Policy sets and questions, for the tests of whoever decides or judges decisions. */
export * from './testing/owners.ts';
export * from './testing/sets.ts';
