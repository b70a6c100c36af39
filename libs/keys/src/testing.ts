/** For the tests of others: the two key managers of a hand-over, and its steps. */
export {
  begin,
  inlineProcess,
  must,
  openSide,
  released,
  retiring,
  type Side,
  type Story,
  snapshot,
  someDigest,
  within,
} from './testing/two-sides.ts';
