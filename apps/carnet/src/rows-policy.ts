import type { Column } from './output.ts';

/** What the broker answers about policies, and what the verbs make of it. */
export interface PolicySetRow {
  readonly version: number;
  readonly policySet: string;
  readonly schema: string;
  readonly entities: string;
  readonly engine: string;
  readonly since: string;
  readonly current: boolean;
}
export interface PolicyRow {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly annotations: Readonly<Record<string, string>>;
  readonly text: string;
}
/** One decision of one side, and what a set that is tested would decide. */
export interface VerdictRow {
  readonly migration: string;
  readonly side: 'source' | 'target';
  readonly decided: 'allow' | 'deny';
  /** Absent: nothing was tested, the decision is only explained. */
  readonly would?: 'allow' | 'deny';
  readonly changes?: boolean;
  readonly policies: readonly string[];
  readonly reasons: readonly { readonly code: string; readonly text: string }[];
}
export interface RequestRow {
  readonly migration: string;
  readonly request: { readonly vm: string; readonly target: string; readonly mode: string; readonly reason?: string };
  readonly principal: string;
  readonly approvedBy: readonly string[];
  readonly askedAt: string;
}

export const setColumns: readonly Column<PolicySetRow>[] = [
  { name: 'version', cell: (s) => s.version },
  { name: 'set', cell: (s) => s.policySet },
  { name: 'engine', cell: (s) => s.engine },
  { name: 'since', cell: (s) => s.since },
  { name: 'current', cell: (s) => String(s.current), tone: (s) => (s.current ? 'good' : undefined) },
];
export const policyColumns: readonly Column<PolicyRow>[] = [
  { name: 'id', cell: (p) => p.id },
  { name: 'effect', cell: (p) => p.effect },
  { name: 'reason', cell: (p) => p.annotations['reason'] },
  { name: 'policy', cell: (p) => p.text.replace(/^(@\w+(\("[^"]*"\))?\s*)+/, '').replaceAll(/\s+/g, ' ') },
];
export const verdictColumns: readonly Column<VerdictRow>[] = [
  { name: 'migration', cell: (v) => v.migration },
  { name: 'side', cell: (v) => v.side },
  { name: 'decided', cell: (v) => v.decided, tone: (v) => (v.decided === 'allow' ? 'good' : 'bad') },
  { name: 'would', cell: (v) => v.would, tone: (v) => (v.changes === true ? 'bad' : undefined) },
  { name: 'policies', cell: (v) => v.policies.join(' ') },
  { name: 'reasons', cell: (v) => v.reasons.map(({ code, text }) => `${code}: ${text}`).join('; ') },
];
export const requestColumns: readonly Column<RequestRow>[] = [
  { name: 'migration', cell: (r) => r.migration },
  { name: 'vm', cell: (r) => r.request.vm },
  { name: 'target', cell: (r) => r.request.target },
  { name: 'mode', cell: (r) => r.request.mode },
  { name: 'asked by', cell: (r) => r.principal },
  { name: 'approved by', cell: (r) => r.approvedBy.join(' ') },
  { name: 'asked', cell: (r) => r.askedAt },
];
