import { Content, Label, PageSection } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { type PeerRow, peerRow, rows } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { Moment } from '../parts/moment.tsx';
import { Nothing, ResourceView } from '../parts/resource-view.tsx';

const peerRows = rows(peerRow);
/** Between readings, ms: when a peer was last heard is told by no ledger entry. */
const READ_MS = 10_000;

const STATES: Readonly<Record<PeerRow['state'], { readonly status: 'success' | 'warning' | 'danger'; readonly text: string }>> = {
  ready: { status: 'success', text: 'Both ledgers advance' },
  silent: { status: 'warning', text: 'Not heard for longer than heads take' },
  frozen: { status: 'danger', text: 'A fork or an unknown cause was found; no new work with this peer' },
  unconfirmed: { status: 'warning', text: 'Invited; nothing is trusted before people at both sides confirm' },
  quarantined: { status: 'danger', text: 'Our database may be older than what the peer has seen' },
};

export function PeersPage() {
  const resource = useResource('/peers', peerRows, READ_MS);
  return (
    <PageSection isFilled>
      <Content component="h1">Peers</Content>
      <ResourceView resource={resource}>
        {({ items }) =>
          items.length === 0 ? (
            <Nothing title="No peers" text="The broker's configuration names none, and none was invited." />
          ) : (
            <Table aria-label="Peers" variant="compact" gridBreakPoint="grid-md">
              <Thead>
                <Tr>
                  <Th>Peer</Th>
                  <Th>State</Th>
                  <Th>Our ledger</Th>
                  <Th>Its ledger</Th>
                  <Th>Last heard</Th>
                  <Th width={30}>Fingerprint</Th>
                </Tr>
              </Thead>
              <Tbody>
                {items.map((peer) => (
                  <Row key={peer.domain} peer={peer} />
                ))}
              </Tbody>
            </Table>
          )
        }
      </ResourceView>
    </PageSection>
  );
}

/** Whole, since two administrators compare it by voice; in groups, so that they do not lose their place. */
const grouped = (fingerprint: string): string => (fingerprint.match(/.{1,8}/g) ?? []).join(' ');

function Row({ peer }: { readonly peer: PeerRow }) {
  const { status, text } = STATES[peer.state];
  const behind = peer.ownSeq - peer.acknowledgedSeq;
  return (
    <Tr>
      <Td dataLabel="Peer">{peer.domain}</Td>
      <Td dataLabel="State">
        <Label status={status} isCompact>
          {peer.state}
        </Label>
        {peer.state !== 'ready' && <div className="carnet-quiet">{text}</div>}
      </Td>
      <Td dataLabel="Our ledger">
        {peer.ownSeq}{' '}
        {behind > 0 ? (
          <span className="carnet-quiet">{behind} not acknowledged</span>
        ) : (
          <span className="carnet-quiet">all acknowledged</span>
        )}
      </Td>
      <Td dataLabel="Its ledger">{peer.receivedSeq}</Td>
      <Td dataLabel="Last heard">{peer.lastHeardAt === undefined ? 'never' : <Moment time={peer.lastHeardAt} />}</Td>
      <Td dataLabel="Fingerprint" className="carnet-mono carnet-break">
        {peer.fingerprint === undefined ? 'not announced yet' : grouped(peer.fingerprint)}
      </Td>
    </Tr>
  );
}
