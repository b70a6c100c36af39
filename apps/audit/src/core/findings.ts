import { FINDINGS_MAX, QUOTE_CHARS_MAX } from '../limits.ts';
import type { Finding, LedgerName } from '../report.ts';

/** A hostile value must not forge a line of a report or move a terminal's cursor. */
export const quote = (value: string): string =>
  JSON.stringify(value)
    .slice(1, -1)
    .replaceAll(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, '?')
    .slice(0, QUOTE_CHARS_MAX);

/** Collects what is found, in the order of finding; bounded. */
export type Findings = {
  readonly violate: (finding: Finding) => void;
  readonly notice: (finding: Finding) => void;
  readonly violations: () => readonly Finding[];
  readonly notices: () => readonly Finding[];
  readonly unlisted: () => number;
  /** Whether anything in this ledger is a violation, listed or not. */
  readonly isDiverged: (ledger: LedgerName) => boolean;
};

export function openFindings(): Findings {
  const violations: Finding[] = [];
  const notices: Finding[] = [];
  const diverged = new Set<string>();
  let unlisted = 0;
  const nameOf = ({ publisher, audience }: LedgerName): string => `${publisher} ${audience}`;
  const keep = (list: Finding[], { expected, got, ...finding }: Finding): void => {
    if (list.length >= FINDINGS_MAX) unlisted++;
    else
      list.push({
        ...finding,
        text: quote(finding.text),
        ...(expected === undefined ? {} : { expected: quote(expected) }),
        ...(got === undefined ? {} : { got: quote(got) }),
      });
  };
  return {
    violate: (found) => {
      diverged.add(nameOf(found.ledger));
      keep(violations, found);
    },
    notice: (found) => keep(notices, found),
    violations: () => violations,
    notices: () => notices,
    unlisted: () => unlisted,
    isDiverged: (ledger) => diverged.has(nameOf(ledger)),
  };
}
