import { CodeBlock, CodeBlockCode, Label, Tooltip } from '@patternfly/react-core';
import { ExpandableRowContent, Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import type { LedgerEntry } from '../live/rows.ts';
import { absolute, timeOfDay } from '../parts/amounts.ts';
import { Identity } from '../parts/identity.tsx';
import { Nothing } from '../parts/resource-view.tsx';
import { SignatureMark, sentenceOf } from '../signatures/signature-mark.tsx';
import type { ShownEvent } from './shown-event.ts';

export interface EventsProps {
  readonly events: readonly ShownEvent[];
  /** Digest of the event whose row is open. */
  readonly opened: string | undefined;
  readonly onOpen: (digest: string | undefined) => void;
}

const COLUMNS = 7;
/** The digest is in the event itself, and the first to go where there is no room. */
const NOT_NARROW: ('hidden' | 'visibleOnLg')[] = ['hidden', 'visibleOnLg'];
const STATES: Readonly<Record<LedgerEntry['state'], string>> = {
  pending: 'Decided here; not yet on the bus',
  published: 'On the bus and read back',
  acknowledged: "Covered by the peer's signed head",
  received: 'From the peer, admitted here',
};

export function EventsTab({ events, opened, onOpen }: EventsProps) {
  if (events.length === 0) return <Nothing title="No events" text="No ledger here holds an event of this migration." />;
  return (
    <Table aria-label="Events" variant="compact" gridBreakPoint="grid-md" className="carnet-tight">
      <Thead>
        <Tr>
          <Th screenReaderText="Open" />
          <Th>Type</Th>
          <Th>Publisher</Th>
          <Th>Seq</Th>
          <Th>Time</Th>
          <Th visibility={NOT_NARROW}>Digest</Th>
          <Th>State</Th>
        </Tr>
      </Thead>
      {events.map((event, i) => (
        <EventRow key={event.entry.digest} event={event} index={i} isOpen={opened === event.entry.digest} onOpen={onOpen} />
      ))}
    </Table>
  );
}

interface RowProps {
  readonly event: ShownEvent;
  readonly index: number;
  readonly isOpen: boolean;
  readonly onOpen: EventsProps['onOpen'];
}

function EventRow({ event: { entry, verdict }, index, isOpen, onOpen }: RowProps) {
  return (
    <Tbody isExpanded={isOpen}>
      <Tr>
        <Td
          expand={{
            rowIndex: index,
            isExpanded: isOpen,
            expandId: 'event',
            onToggle: () => onOpen(isOpen ? undefined : entry.digest),
          }}
        />
        <Td dataLabel="Type" modifier="nowrap">
          <SignatureMark verdict={verdict} /> {entry.type}{' '}
          {entry.voidCode && (
            <Label color="orange" isCompact>
              void: {entry.voidCode}
            </Label>
          )}
        </Td>
        <Td dataLabel="Publisher" modifier="nowrap">
          {entry.publisher}
        </Td>
        <Td dataLabel="Seq">{entry.seq}</Td>
        <Td dataLabel="Time">
          <Tooltip content={absolute(entry.time)}>
            <time dateTime={entry.time} className="carnet-mono">
              {timeOfDay(entry.time)}
            </time>
          </Tooltip>
        </Td>
        <Td dataLabel="Digest" visibility={NOT_NARROW}>
          <Identity id={entry.digest} />
        </Td>
        <Td dataLabel="State">
          <Tooltip content={STATES[entry.state]}>
            <span>{entry.state}</span>
          </Tooltip>
        </Td>
      </Tr>
      <Tr isExpanded={isOpen}>
        <Td colSpan={COLUMNS}>
          <ExpandableRowContent>{isOpen && <Raw event={{ entry, verdict }} />}</ExpandableRowContent>
        </Td>
      </Tr>
    </Tbody>
  );
}

/** The payload that this browser verified; where it could not, the envelope as it came, and why. */
function Raw({ event: { entry, verdict } }: { readonly event: ShownEvent }) {
  const shown = verdict.kind === 'valid' ? verdict.payload : { digest: entry.digest, envelope: entry.envelope };
  return (
    <>
      <p className="carnet-below">{sentenceOf(verdict)}.</p>
      <CodeBlock>
        <CodeBlockCode className="carnet-raw">{JSON.stringify(shown, undefined, 2)}</CodeBlockCode>
      </CodeBlock>
    </>
  );
}
