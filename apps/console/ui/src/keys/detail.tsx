import { DescriptionList, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { type KeyRow, keyDetail } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { absolute } from '../parts/amounts.ts';

/** Where the key came from, every time it was held here, and every change of state with its actor and reason. */
export function KeyDetail({ listed }: { readonly listed: KeyRow }) {
  const { value } = useResource(`/keys/${listed.key}`, keyDetail);
  const key = value ?? listed;
  const history = value?.history ?? [];
  const former = value?.holdings.slice(1) ?? [];
  return (
    <>
      <DescriptionList isHorizontal isCompact className="carnet-below">
        <Line term="Key" value={key.key} />
        <Line term="Artifact" value={key.artifact} />
        <Line term="Project" value={key.project} />
        <Line term="Arrived" value={arrivalText(key.arrival)} />
        {former.map(({ arrival, state, changedAt }) => (
          <Line key={arrival} term="Held before" value={`${arrivalText(arrival)}; ${state} since ${absolute(changedAt)}`} />
        ))}
        {key.provenance.map((line) => {
          const [term = '', ...rest] = line.split(' ');
          return <Line key={line} term={`Provenance, ${term}`} value={rest.join(' ')} />;
        })}
      </DescriptionList>
      <Table aria-label="History of the key" variant="compact" borders={false} gridBreakPoint="grid-md">
        <Thead>
          <Tr>
            <Th>At</Th>
            {former.length > 0 && <Th>Holding</Th>}
            <Th>State</Th>
            <Th>Actor</Th>
            <Th>Reason</Th>
          </Tr>
        </Thead>
        <Tbody>
          {history.map(({ arrival, state, at, actor, reason }) => (
            <Tr key={`${arrival} ${at} ${state}`}>
              <Td dataLabel="At" className="carnet-mono carnet-nowrap">
                {absolute(at)}
              </Td>
              {former.length > 0 && <Td dataLabel="Holding">{arrivalText(arrival)}</Td>}
              <Td dataLabel="State">{state}</Td>
              <Td dataLabel="Actor">{actor}</Td>
              <Td dataLabel="Reason" className="carnet-break">
                {reason}
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
    </>
  );
}

const arrivalText = (arrival: number): string => (arrival === 0 ? 'made here' : `with epoch ${arrival}`);

function Line({ term, value }: { readonly term: string; readonly value: string }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription className="carnet-mono carnet-break">{value}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}
