import { Content, Label, PageSection } from '@patternfly/react-core';
import { KeyIcon } from '@patternfly/react-icons/dist/esm/icons/key-icon';
import { ExpandableRowContent, Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useState } from 'react';
import { type KeyRow, keyRow, rows } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { Identity } from '../parts/identity.tsx';
import { Moment } from '../parts/moment.tsx';
import { Nothing, ResourceView } from '../parts/resource-view.tsx';
import { KeyDetail } from './detail.tsx';

const keyRows = rows(keyRow);
const COLUMNS = 7;

/** States of NIST SP 800-57, part 1, section 7. */
const TONES: Readonly<Record<string, 'green' | 'orange' | 'grey' | 'red' | 'blue'>> = {
  'pre-activation': 'blue',
  active: 'green',
  suspended: 'orange',
  deactivated: 'grey',
  compromised: 'red',
  destroyed: 'grey',
  'destroyed-compromised': 'red',
};

export function KeysPage() {
  const resource = useResource('/keys', keyRows);
  return (
    <PageSection isFilled>
      <Content component="h1">Keys</Content>
      <ResourceView resource={resource}>
        {({ items }) =>
          items.length === 0 ? (
            <Nothing icon={KeyIcon} title="No keys" text="A key is made with an image or a VM, or comes with a migration." />
          ) : (
            <KeyTable keys={items} />
          )
        }
      </ResourceView>
    </PageSection>
  );
}

function KeyTable({ keys }: { readonly keys: readonly KeyRow[] }) {
  const [opened, setOpened] = useState<string>();
  return (
    <Table aria-label="Keys" variant="compact" gridBreakPoint="grid-md" className="carnet-tight">
      <Thead>
        <Tr>
          <Th screenReaderText="Open" />
          <Th>Key</Th>
          <Th>State</Th>
          <Th>Kind</Th>
          <Th>Origin</Th>
          <Th>Consumers</Th>
          <Th>Created</Th>
        </Tr>
      </Thead>
      {keys.map((key, i) => {
        const id = `${key.key}/${key.version}/${key.arrival}`;
        const isOpen = opened === id;
        return (
          <Tbody key={id} isExpanded={isOpen}>
            <Tr>
              <Td
                expand={{ rowIndex: i, isExpanded: isOpen, expandId: 'key', onToggle: () => setOpened(isOpen ? undefined : id) }}
              />
              <Td dataLabel="Key">
                <Identity id={key.key} /> <span className="carnet-quiet">v{key.version}</span>
              </Td>
              <Td dataLabel="State">
                <Label color={TONES[key.state] ?? 'grey'} isCompact>
                  {key.state}
                </Label>
              </Td>
              <Td dataLabel="Kind">{key.kind}</Td>
              <Td dataLabel="Origin">{key.origin}</Td>
              <Td dataLabel="Consumers">
                {key.consumers.length === 0 ? (
                  <span className="carnet-quiet">none</span>
                ) : (
                  key.consumers.map((consumer) => <Consumer key={consumer} consumer={consumer} />)
                )}
              </Td>
              <Td dataLabel="Created">
                <Moment time={key.createdAt} />
              </Td>
            </Tr>
            <Tr isExpanded={isOpen}>
              <Td colSpan={COLUMNS}>
                <ExpandableRowContent>{isOpen && <KeyDetail listed={key} />}</ExpandableRowContent>
              </Td>
            </Tr>
          </Tbody>
        );
      })}
    </Table>
  );
}

/** `vm:<home>/<uuid>`. */
function Consumer({ consumer }: { readonly consumer: string }) {
  const uuid = /^vm:[^/]+\/(.+)$/.exec(consumer)?.[1];
  return (
    <div>
      {uuid === undefined ? (
        consumer
      ) : (
        <>
          VM <Identity id={uuid} />
        </>
      )}
    </div>
  );
}
