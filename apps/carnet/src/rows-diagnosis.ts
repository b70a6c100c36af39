import type { Column } from './output.ts';

/** What the broker answers (its OpenAPI document is the contract); only fields that are shown. */
export interface DiagnosisRow {
  readonly migration: string;
  readonly vm: string;
  readonly phase: string;
  readonly standing: string;
  readonly meaning: string;
  readonly since?: string;
  readonly exposedSince?: string;
  readonly turns: readonly { readonly domain: string; readonly must: readonly string[]; readonly givesUpAt?: string }[];
  readonly findings: readonly { readonly code: string; readonly text: string }[];
  readonly safe: readonly string[];
  readonly unsafe: readonly string[];
}

const turnText = ({ domain, must, givesUpAt }: DiagnosisRow['turns'][number]): string =>
  `${domain} must ${must.join(', ')}${givesUpAt === undefined ? '' : `; gives up by itself at ${givesUpAt}`}`;

export const diagnosisColumns: readonly Column<DiagnosisRow>[] = [
  { name: 'migration', cell: (d) => d.migration },
  { name: 'vm', cell: (d) => d.vm },
  { name: 'phase', cell: (d) => d.phase },
  { name: 'standing', cell: (d) => d.standing, tone: (d) => (d.standing === 'in-doubt' ? 'bad' : undefined) },
  { name: 'that is', cell: (d) => d.meaning },
  { name: 'last word', cell: (d) => d.since },
  { name: 'who acts', cell: (d) => (d.turns.length === 0 ? 'nobody: both sides have ended' : d.turns.map(turnText)) },
  {
    name: 'found',
    cell: (d) => (d.findings.length === 0 ? 'nothing in its way' : d.findings.map(({ code, text }) => `${code}: ${text}`)),
    tone: (d) => (d.findings.length === 0 ? 'good' : 'bad'),
  },
  { name: 'safe', cell: (d) => d.safe },
  { name: 'NOT safe', cell: (d) => d.unsafe },
];
