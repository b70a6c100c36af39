/** What monitoring plugins answer with (Monitoring Plugins Development Guidelines, section 2). */
export const CHECK = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;
export type CheckExit = (typeof CHECK)[keyof typeof CHECK];
export interface Verdict {
  readonly exit: CheckExit;
  readonly line: string;
}

export const WORDS: Readonly<Record<CheckExit, string>> = { 0: 'OK', 1: 'WARNING', 2: 'CRITICAL', 3: 'UNKNOWN' };

/** A bar would begin performance data. */
export const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]|\|/g, '?');
