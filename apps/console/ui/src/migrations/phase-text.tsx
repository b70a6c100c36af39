import { Tooltip } from '@patternfly/react-core';
import type { MigrationRow } from '../live/rows.ts';
import { meaningOf, stepOf } from './phases.ts';

/** The phase, how far that is, and in a tooltip what it means. */
export function PhaseText({ row }: { readonly row: Pick<MigrationRow, 'phase' | 'reasons' | 'ended'> }) {
  const step = row.ended ? undefined : stepOf(row.phase);
  const [reason] = row.reasons;
  return (
    <>
      <Tooltip content={meaningOf(row.phase)}>
        <span>{row.phase}</span>
      </Tooltip>
      {step && <span className="carnet-quiet">{` · step ${step.done} of ${step.of}`}</span>}
      {reason && <div className="carnet-quiet">{reason.text}</div>}
    </>
  );
}
