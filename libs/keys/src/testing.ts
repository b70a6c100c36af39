/** For the tests of others: the two key managers of a hand-over, and its steps. */
export { onKeys } from './records/tables.ts';
export {
  begin,
  digestOfData,
  inlineProcess,
  must,
  NOW,
  openSide,
  released,
  retiring,
  type Side,
  type Story,
  snapshot,
  someDigest,
  within,
} from './testing/two-sides.ts';
