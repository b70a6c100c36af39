export { onKeys } from './records/tables.ts';
/** For the tests of others: the two key managers of a hand-over, and its steps. */
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
