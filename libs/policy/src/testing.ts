/** Policy sets, questions and agreements, for the tests of whoever decides or judges decisions. */
export * from './testing/agreements.ts';
export * from './testing/owners.ts';
export * from './testing/sets.ts';
