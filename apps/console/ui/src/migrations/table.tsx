import { Label } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { type MigrationRow, migrationDetail } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { Direction, VmName } from '../parts/identity.tsx';
import { Moment } from '../parts/moment.tsx';
import { Transfer } from '../parts/transfer.tsx';
import { hrefOf } from '../route.ts';
import { PhaseText } from './phase-text.tsx';
import { outcomeLabel } from './phases.ts';

/** Running transfers whose bytes are read beside the list; more would be a load on the broker that nobody can look at. */
const PROGRESS_ROWS_MAX = 20;
/** Between readings of a running transfer, ms: bytes are no ledger entries and make no notice. */
const PROGRESS_MS = 2_000;

export function MigrationTable({ migrations }: { readonly migrations: readonly MigrationRow[] }) {
  const running = new Set(
    migrations
      .filter((row) => !row.ended)
      .slice(0, PROGRESS_ROWS_MAX)
      .map((row) => row.migration),
  );
  return (
    <Table aria-label="Migrations" variant="compact" gridBreakPoint="grid-md" className="carnet-tight">
      <Thead>
        <Tr>
          <Th>VM</Th>
          <Th>Source → target</Th>
          <Th>Mode</Th>
          <Th width={30}>Phase</Th>
          <Th>Outcome</Th>
          <Th>Started</Th>
        </Tr>
      </Thead>
      <Tbody>
        {migrations.map((row) => (
          <Row key={`${row.migration} ${row.source}`} row={row} showsProgress={running.has(row.migration)} />
        ))}
      </Tbody>
    </Table>
  );
}

function Row({ row, showsProgress }: { readonly row: MigrationRow; readonly showsProgress: boolean }) {
  const { text, tone } = outcomeLabel(row);
  return (
    <Tr>
      <Td dataLabel="VM">
        <a href={hrefOf({ page: 'migration', migration: row.migration, tab: 'events' })}>
          <VmName vm={row.vm} />
        </a>
      </Td>
      <Td dataLabel="Source → target">
        <Direction source={row.source} target={row.target} />
      </Td>
      <Td dataLabel="Mode">{row.mode}</Td>
      <Td dataLabel="Phase">
        <PhaseText row={row} />
        {showsProgress && <RunningTransfer migration={row.migration} />}
      </Td>
      <Td dataLabel="Outcome">
        <Label color={tone} isCompact className="carnet-nowrap">
          {text}
        </Label>
      </Td>
      <Td dataLabel="Started">
        <Moment time={row.startedAt} />
      </Td>
    </Tr>
  );
}

function RunningTransfer({ migration }: { readonly migration: string }) {
  const { value } = useResource(`/migrations/${migration}`, migrationDetail, PROGRESS_MS);
  return value?.progress === undefined ? null : <Transfer progress={value.progress} compact />;
}
