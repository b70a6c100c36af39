import { CHECK, type CheckExit, printable, type Verdict, WORDS } from './check-verdict.ts';

/** What the broker answers on `/v1/alarms`; only fields that are decided upon or shown. */
export interface Alarm {
  readonly migration: string;
  readonly code: string;
  readonly seconds: number;
}
/** Seconds in doubt; what is overdue warns at once, since a side that gives up by itself has had its time. */
export interface DoubtLimits {
  readonly warning: number;
  readonly critical: number;
}

export function checkMigrations(alarms: readonly Alarm[], limits: DoubtLimits): Verdict {
  const judged = alarms.map((alarm) => ({ alarm, exit: judge(alarm, limits) }));
  const count = (code: string): number => alarms.filter((alarm) => alarm.code === code).length;
  const longest = Math.max(0, ...alarms.filter(({ code }) => code === 'IN_DOUBT').map(({ seconds }) => seconds));
  const [worst] = judged.toSorted((a, b) => b.exit - a.exit || b.alarm.seconds - a.alarm.seconds);
  const exit = worst?.exit ?? CHECK.ok;
  const said = worst === undefined ? '' : `; ${worst.alarm.code} ${worst.alarm.migration} for ${worst.alarm.seconds} s`;
  const numbers = `in_doubt=${count('IN_DOUBT')} overdue=${count('OVERDUE')} in_doubt_seconds=${longest}s`;
  return {
    exit,
    line: `MIGRATION ${WORDS[exit]} - ${count('IN_DOUBT')} in doubt, ${count('OVERDUE')} overdue${printable(said)} | ${numbers}`,
  };
}

function judge({ code, seconds }: Alarm, { warning, critical }: DoubtLimits): CheckExit {
  // Two copies of one VM may be running, or were.
  if (code === 'SPLIT_SUSPECTED' || code === 'BOTH_RAN') return CHECK.critical;
  if (code !== 'IN_DOUBT') return CHECK.warning;
  // Written so that a number of seconds that is none is critical.
  if (!(seconds < critical)) return CHECK.critical;
  return seconds < warning ? CHECK.ok : CHECK.warning;
}
