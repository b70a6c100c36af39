import type { CertificateRow } from './certificate-rows.ts';
import { CHECK, type CheckExit, printable, type Verdict, WORDS } from './check-verdict.ts';

const DAY_MS = 86_400_000;
/**
 * Shares of a life, so that leaves of a month and roots of ten years are judged alike: what renews itself does so with a third (lists:
 * half) left, and has therefore failed before a warning. What takes people to renew is not warned of for years.
 */
const WARNING = { share: 1 / 4, msMax: 90 * DAY_MS };
const CRITICAL = { share: 1 / 10, msMax: 30 * DAY_MS };

export function checkCertificates(rows: readonly CertificateRow[], nowMs: number): Verdict {
  if (rows.length === 0) return { exit: CHECK.unknown, line: 'CERT UNKNOWN - the broker names no certificate' };
  const judged = rows.map((row) => ({ row, exit: judge(row, nowMs), leftMs: Date.parse(row.notAfter) - nowMs }));
  const [next] = judged.toSorted((a, b) => b.exit - a.exit || a.leftMs - b.leftMs);
  const exit = next?.exit ?? CHECK.ok;
  const bad = judged.filter((one) => one.exit > CHECK.ok).length;
  const count = bad === 0 ? `${rows.length} certificates and lists` : `${bad} of ${rows.length} certificates and lists`;
  const said = next === undefined ? '' : ` ${next.row.kind} ${next.row.name} (${next.row.standing}) ${left(next.leftMs)}`;
  const days = next === undefined ? 0 : Math.floor(next.leftMs / DAY_MS);
  return { exit, line: `CERT ${WORDS[exit]} - ${count};${printable(said)} | days_left=${days}` };
}

function judge({ standing, notBefore, notAfter }: CertificateRow, nowMs: number): CheckExit {
  const lifeMs = Date.parse(notAfter) - Date.parse(notBefore);
  const leftMs = Date.parse(notAfter) - nowMs;
  // Written so that a time that is no number is critical.
  const isAbove = ({ share, msMax }: typeof WARNING): boolean => leftMs >= Math.min(lifeMs * share, msMax);
  if (standing !== 'good' || !isAbove(CRITICAL)) return CHECK.critical;
  return isAbove(WARNING) ? CHECK.ok : CHECK.warning;
}

const left = (ms: number): string =>
  ms < 0 ? 'has ended' : ms < DAY_MS ? `ends in ${Math.floor(ms / 3_600_000)} h` : `ends in ${Math.floor(ms / DAY_MS)} days`;
