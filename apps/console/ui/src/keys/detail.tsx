import { DescriptionList, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { type KeyRow, keyRow } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { absolute } from '../parts/amounts.ts';

/** Every change of state with its actor and reason, and where the key came from. Lists leave the history out, so it is read here. */
export function KeyDetail({ listed }: { readonly listed: KeyRow }) {
  const { value } = useResource(`/keys/${listed.key}`, keyRow);
  const key = value ?? listed;
  return (
    <>
      <DescriptionList isHorizontal isCompact className="carnet-below">
        <Line term="Key" value={key.key} />
        <Line term="Artifact" value={key.artifact} />
        <Line term="Project" value={key.project} />
        {key.provenance.map((line) => {
          const [term = '', ...rest] = line.split(' ');
          return <Line key={line} term={`Provenance, ${term}`} value={rest.join(' ')} />;
        })}
      </DescriptionList>
      <Table aria-label="History of the key" variant="compact" borders={false} gridBreakPoint="grid-md">
        <Thead>
          <Tr>
            <Th>At</Th>
            <Th>State</Th>
            <Th>Actor</Th>
            <Th>Reason</Th>
          </Tr>
        </Thead>
        <Tbody>
          {key.history.map(({ state, at, actor, reason }) => (
            <Tr key={`${at} ${state}`}>
              <Td dataLabel="At" className="carnet-mono carnet-nowrap">
                {absolute(at)}
              </Td>
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

function Line({ term, value }: { readonly term: string; readonly value: string }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription className="carnet-mono carnet-break">{value}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}
