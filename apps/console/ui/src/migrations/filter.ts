import type { MigrationRow } from '../live/rows.ts';

export const SHOWS = ['all', 'open', 'ended', 'failed'] as const;
export type Show = (typeof SHOWS)[number];

export interface Filter {
  readonly text: string;
  readonly show: Show;
}

const failed: ReadonlySet<MigrationRow['outcome']> = new Set(['rolled-back', 'refused', 'withdrawn']);

/** Every word of the text must occur somewhere in what the row shows. */
export function matches(row: MigrationRow, { text, show }: Filter): boolean {
  if (!isShown(row, show)) return false;
  const shown = [row.vm, row.migration, row.source, row.target, row.mode, row.phase, row.outcome].join(' ').toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => shown.includes(word));
}

function isShown(row: MigrationRow, show: Show): boolean {
  switch (show) {
    case 'all':
      return true;
    case 'open':
      return !row.ended;
    case 'ended':
      return row.ended;
    case 'failed':
      return failed.has(row.outcome);
    default:
      return show satisfies never;
  }
}
