import type { MigrationRow } from '../live/rows.ts';

/** Phases in the order of the protocol (section 4): how far a migration has come, in steps. */
const FORWARD: readonly string[] = [
  'requested',
  'offered',
  'agreed',
  'deposited',
  'ready',
  'quiesced',
  'sealed',
  'verified',
  'released',
  'imported',
  'starting',
  'started',
  'healthy',
  'finalized',
  'retired',
];

/** What a phase means to somebody who has not read the protocol. */
const MEANING: Readonly<Record<string, string>> = {
  requested: 'Asked for; the target has not answered',
  offered: 'The target has reserved room',
  agreed: 'Both sides agreed',
  deposited: 'Sealed keys are at the target; it cannot open them',
  ready: 'The target promised to take the VM',
  quiesced: 'The VM is stopped at the source',
  sealed: 'The last image is sealed and on its way',
  verified: 'The target checked every chunk',
  released: 'Keys are released: only the target may go on',
  imported: "Keys are active in the target's key manager",
  starting: 'The target may start the VM',
  started: 'The VM started at the target',
  healthy: 'The VM runs at the target; the rollback window is open',
  finalized: 'The rollback window is over',
  retired: "The source's copy and keys are destroyed",
  refused: 'The target refused',
  withdrawn: 'Withdrawn before the VM was stopped',
  'rolling-back': 'Both sides are undoing what they did',
  'rolled-back': 'The VM is at its source again',
  'split-suspected': 'The source took the VM back without an answer: both sides may have run it. Its page says what to do',
};

export const meaningOf = (phase: string): string => MEANING[phase] ?? phase;

export interface Step {
  readonly done: number;
  readonly of: number;
}

/** `undefined` for phases that lead back. */
export function stepOf(phase: string): Step | undefined {
  const index = FORWARD.indexOf(phase);
  return index === -1 ? undefined : { done: index + 1, of: FORWARD.length };
}

type Tone = 'blue' | 'green' | 'orange' | 'red' | 'grey';

/** How the outcome is shown. Refused and rolled back are orderly ends, not alarms. */
export function outcomeLabel(row: Pick<MigrationRow, 'outcome' | 'phase'>): { readonly text: string; readonly tone: Tone } {
  switch (row.outcome) {
    case 'open':
      if (row.phase === 'split-suspected') return { text: 'split suspected', tone: 'red' };
      return row.phase === 'rolling-back' ? { text: 'rolling back', tone: 'orange' } : { text: 'running', tone: 'blue' };
    case 'done':
      return { text: 'done', tone: 'green' };
    case 'rolled-back':
      return { text: 'rolled back', tone: 'orange' };
    case 'refused':
      return { text: 'refused', tone: 'red' };
    case 'withdrawn':
      return { text: 'withdrawn', tone: 'grey' };
    default:
      return row.outcome satisfies never;
  }
}
