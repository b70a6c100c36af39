import { Content, Label, PageSection } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { hostRow, rows } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { bytes } from '../parts/amounts.ts';
import { Moment } from '../parts/moment.tsx';
import { Nothing, ResourceView } from '../parts/resource-view.tsx';

const hostRows = rows(hostRow);
/** Between readings, ms: hosts report by themselves, and no ledger entry tells of it. */
const READ_MS = 10_000;
const MIB = 1_048_576;

export function HostsPage() {
  const resource = useResource('/hosts', hostRows, READ_MS);
  return (
    <PageSection isFilled>
      <Content component="h1">Hosts</Content>
      <ResourceView resource={resource}>
        {({ items }) =>
          items.length === 0 ? (
            <Nothing title="No hosts" text="The broker's configuration names none." />
          ) : (
            <Table aria-label="Hosts" variant="compact" gridBreakPoint="grid-md">
              <Thead>
                <Tr>
                  <Th>Host</Th>
                  <Th>State</Th>
                  <Th>VMs</Th>
                  <Th>Free memory</Th>
                  <Th>Free disk</Th>
                  <Th>libvirt</Th>
                  <Th>Last heard</Th>
                </Tr>
              </Thead>
              <Tbody>
                {items.map((host) => (
                  <Tr key={host.name}>
                    <Td dataLabel="Host">{host.name}</Td>
                    <Td dataLabel="State">
                      <Label status={host.state === 'up' ? 'success' : 'danger'} isCompact>
                        {host.state}
                      </Label>
                    </Td>
                    <Td dataLabel="VMs">{host.vms}</Td>
                    <Td dataLabel="Free memory">{bytes(host.memoryMiB * MIB)}</Td>
                    <Td dataLabel="Free disk">{bytes(host.freeDiskBytes)}</Td>
                    <Td dataLabel="libvirt">{host.libvirtVersion ?? 'unknown'}</Td>
                    <Td dataLabel="Last heard">
                      {host.lastHeardAt === undefined ? 'never' : <Moment time={host.lastHeardAt} />}
                    </Td>
                  </Tr>
                ))}
              </Tbody>
            </Table>
          )
        }
      </ResourceView>
    </PageSection>
  );
}
