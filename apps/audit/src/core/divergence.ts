import { type Seq, unreachable } from '@carnet/events';
import { type Admission, positionOf, sha256Hex } from '@carnet/trust';
import type { Finding, LedgerName } from '../report.ts';
import type { Candidate } from './copies.ts';

type Difference = Pick<Finding, 'code' | 'text' | 'expected' | 'got' | 'digest'>;

/**
 * Why a ledger ends here. Two envelopes that would both be admitted are a fork: the publisher signed both, and either convicts it.
 * Otherwise the copy that shows the bad one is named; another copy may be good.
 */
export function divergenceOf(
  ledger: LedgerName,
  position: Seq,
  candidates: readonly Candidate[],
  admissions: readonly Admission[],
): Finding {
  const seq = positionOf(position);
  const bad = admissions.findIndex((admission) => admission.kind !== 'placed');
  const refused = admissions[bad];
  if (refused === undefined) {
    const [one, two] = candidates.map(({ bytes }) => sha256Hex(bytes));
    const text = `${ledger.publisher} signed two events for one position: ${candidates.map(({ sources }) => sources.join(', ')).join(' against ')}`;
    return {
      code: 'LEDGER_FORK',
      text,
      ledger,
      seq,
      sources: candidates.flatMap(({ sources }) => sources),
      ...compared(one, two),
    };
  }
  return { ...differenceOf(refused, position), ledger, seq, sources: candidates[bad]?.sources ?? [] };
}

const compared = (expected: string | undefined, got: string | undefined): Pick<Finding, 'expected' | 'got'> => ({
  ...(expected === undefined ? {} : { expected }),
  ...(got === undefined ? {} : { got }),
});

function differenceOf(admission: Admission, position: Seq): Difference {
  switch (admission.kind) {
    case 'refused':
      return { code: admission.code, text: admission.text, ...compared(admission.expected, admission.got) };
    case 'gap':
      return {
        code: 'SEQUENCE_GAP',
        text: 'expected the next event of the ledger',
        expected: admission.expectedSeq,
        got: admission.gotSeq,
      };
    case 'fork':
      return {
        code: 'LEDGER_FORK',
        text: `expected to follow what stands at ${admission.seq}`,
        expected: admission.held,
        got: admission.got,
      };
    case 'repeat':
      return { code: 'ENVELOPE_REPEATED', text: 'expected each envelope once', expected: position, got: admission.digest };
    case 'unknown-cause':
      return { code: 'CAUSE_UNKNOWN', text: 'expected the cited event in a ledger of the audience', got: admission.digest };
    case 'placed':
      throw new Error('impossible: a placed event is no difference');
    default:
      return unreachable(admission);
  }
}
