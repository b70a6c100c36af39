import {
  Alert,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Label,
  LabelGroup,
} from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import type { ReactNode } from 'react';
import type { MigrationDetail } from '../live/rows.ts';
import { meaningOf } from '../migrations/phases.ts';
import { absolute, duration } from '../parts/amounts.ts';
import { Moment } from '../parts/moment.tsx';
import { useNow } from '../parts/now.ts';

export function StateTab({ detail }: { readonly detail: MigrationDetail }) {
  const failure = detail.lastFailure;
  return (
    <>
      {failure && (
        <Alert
          isInline
          variant={detail.ended ? 'info' : 'warning'}
          title={`Last failure: ${failure.command}, ${failure.code}`}
          className="carnet-below"
        >
          {failure.text} (<Moment time={failure.at} />)
        </Alert>
      )}
      <DescriptionList columnModifier={{ default: '1Col', lg: '2Col' }} isCompact className="carnet-below">
        <Described term="Phase">
          {detail.phase} <span className="carnet-quiet">{meaningOf(detail.phase)}</span>
        </Described>
        <Described term="Outcome">{detail.outcome}</Described>
        <Described term={`Source, ${detail.source}`}>{detail.sourcePhase}</Described>
        <Described term={`Target, ${detail.target}`}>{detail.targetPhase}</Described>
        <Described term="Owed by this CSP">
          <Owed owed={detail.owed} />
        </Described>
        <Described term="Last event">
          <Moment time={detail.updatedAt} />
        </Described>
        {detail.reasons.length > 0 && (
          <Described term="Why it ended early">
            {detail.reasons.map((reason) => (
              <div key={reason.code}>
                <code>{reason.code}</code> {reason.text}
              </div>
            ))}
          </Described>
        )}
      </DescriptionList>
      <CustodyTable detail={detail} />
    </>
  );
}

function Described({ term, children }: { readonly term: string; readonly children: ReactNode }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription>{children}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}

function Owed({ owed }: Pick<MigrationDetail, 'owed'>) {
  if (owed.length === 0) return <span className="carnet-quiet">nothing</span>;
  return (
    <LabelGroup numLabels={owed.length}>
      {owed.map(({ command, attempt }) => (
        <Label key={command} variant="outline">
          {command}
          {attempt !== undefined && attempt > 1 ? `, attempt ${attempt}` : ''}
        </Label>
      ))}
    </LabelGroup>
  );
}

function CustodyTable({ detail }: { readonly detail: MigrationDetail }) {
  const now = useNow();
  return (
    <Table aria-label="Custody of the key" variant="compact" gridBreakPoint="grid-md">
      <caption className="carnet-caption">Who could open the image, as the ledgers prove it</caption>
      <Thead>
        <Tr>
          <Th>From</Th>
          <Th>For</Th>
          <Th>Could open the image</Th>
        </Tr>
      </Thead>
      <Tbody>
        {detail.custody.map(({ at, domains }, i) => {
          const until = detail.custody[i + 1]?.at;
          const lasted = (until === undefined ? now : Date.parse(until)) - Date.parse(at);
          return (
            <Tr key={at}>
              <Td dataLabel="From" className="carnet-mono">
                {absolute(at)}
              </Td>
              <Td dataLabel="For">
                {duration(lasted)}
                {until === undefined ? ', until now' : ''}
              </Td>
              <Td dataLabel="Could open the image">{domains.length === 0 ? 'nobody' : domains.join(', ')}</Td>
            </Tr>
          );
        })}
      </Tbody>
    </Table>
  );
}
