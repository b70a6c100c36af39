import {
  Breadcrumb,
  BreadcrumbItem,
  Content,
  Flex,
  FlexItem,
  Label,
  PageBreadcrumb,
  PageSection,
  Tab,
  Tabs,
  TabTitleText,
} from '@patternfly/react-core';
import { useMemo, useState } from 'react';
import { DoubtPanel } from '../doubt/doubt-panel.tsx';
import { ledgerEntry, type MigrationDetail, migrationDetail, rows } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { PhaseText } from '../migrations/phase-text.tsx';
import { outcomeLabel } from '../migrations/phases.ts';
import { Direction, VmName } from '../parts/identity.tsx';
import { Moment } from '../parts/moment.tsx';
import { ResourceView } from '../parts/resource-view.tsx';
import { Transfer } from '../parts/transfer.tsx';
import { hrefOf, MIGRATION_TABS, type MigrationTab } from '../route.ts';
import { useKnownKeys } from '../signatures/known-keys.tsx';
import { verify } from '../signatures/verify.ts';
import { EventsTab } from './events-tab.tsx';
import { LanesView } from './lanes-view.tsx';
import { inOrder, type ShownEvent } from './shown-event.ts';
import { StateTab } from './state-tab.tsx';

const ledgerEntries = rows(ledgerEntry);
/** Between readings while the migration runs, ms: progress is told by no ledger entry. */
const PROGRESS_MS = 2_000;
const TITLES: Readonly<Record<MigrationTab, string>> = { events: 'Events', state: 'State' };

export function MigrationPage({ migration, tab }: { readonly migration: string; readonly tab: MigrationTab }) {
  const [running, setRunning] = useState(true);
  const detail = useResource(`/migrations/${migration}`, migrationDetail, running ? PROGRESS_MS : undefined);
  if (detail.value !== undefined && detail.value.ended === running) setRunning(!detail.value.ended);
  return (
    <>
      <PageBreadcrumb>
        <Breadcrumb>
          <BreadcrumbItem to={hrefOf({ page: 'migrations' })}>Migrations</BreadcrumbItem>
          <BreadcrumbItem isActive>
            <span className="carnet-mono">{migration}</span>
          </BreadcrumbItem>
        </Breadcrumb>
      </PageBreadcrumb>
      <PageSection isFilled>
        <ResourceView resource={detail}>{(value) => <Whole detail={value} tab={tab} />}</ResourceView>
      </PageSection>
    </>
  );
}

function Whole({ detail, tab }: { readonly detail: MigrationDetail; readonly tab: MigrationTab }) {
  const entries = useResource(`/events?migration=${detail.migration}`, ledgerEntries);
  const keys = useKnownKeys();
  const events = useMemo(
    () => inOrder(entries.value?.items ?? []).map((entry): ShownEvent => ({ entry, verdict: verify(entry, keys) })),
    [entries.value, keys],
  );
  const [opened, setOpened] = useState<string>();
  return (
    <>
      <Title detail={detail} />
      <DoubtPanel detail={detail} events={events} />
      {detail.progress && !detail.ended && <Transfer progress={detail.progress} />}
      <LanesView detail={detail} events={events} opened={opened} onOpen={setOpened} />
      <Tabs activeKey={tab} aria-label="One migration" onSelect={(_, key) => choose(detail.migration, String(key))}>
        {MIGRATION_TABS.map((name) => (
          <Tab key={name} eventKey={name} title={<TabTitleText>{TITLES[name]}</TabTitleText>} />
        ))}
      </Tabs>
      <div className="carnet-tab">
        {tab === 'events' ? (
          <ResourceView resource={entries}>{() => <EventsTab events={events} opened={opened} onOpen={setOpened} />}</ResourceView>
        ) : (
          <StateTab detail={detail} />
        )}
      </div>
    </>
  );
}

function choose(migration: string, key: string): void {
  const tab = MIGRATION_TABS.find((name) => name === key);
  if (tab !== undefined) window.location.hash = hrefOf({ page: 'migration', migration, tab });
}

function Title({ detail }: { readonly detail: MigrationDetail }) {
  const { text, tone } = outcomeLabel(detail);
  return (
    <Flex alignItems={{ default: 'alignItemsBaseline' }} columnGap={{ default: 'columnGapMd' }} className="carnet-below">
      <FlexItem>
        <Content component="h1">
          <VmName vm={detail.vm} />
        </Content>
      </FlexItem>
      <FlexItem>
        <Label color={tone}>{text}</Label>
      </FlexItem>
      <FlexItem>
        <Direction source={detail.source} target={detail.target} />, {detail.mode}, epoch {detail.epoch}
      </FlexItem>
      <FlexItem>
        <PhaseText row={{ ...detail, reasons: [] }} />
      </FlexItem>
      <FlexItem className="carnet-quiet">
        started <Moment time={detail.startedAt} />
      </FlexItem>
    </Flex>
  );
}
