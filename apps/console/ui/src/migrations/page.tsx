import {
  Content,
  PageSection,
  SearchInput,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from '@patternfly/react-core';
import { MigrationIcon } from '@patternfly/react-icons/dist/esm/icons/migration-icon';
import { useState } from 'react';
import { migrationRow, rows } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import { Nothing, ResourceView } from '../parts/resource-view.tsx';
import { type Filter, matches, SHOWS } from './filter.ts';
import { MigrationTable } from './table.tsx';

/** Rows that one page reads; older ones are found with `carnet migration list`. */
const ROWS_MAX = 500;
const migrationRows = rows(migrationRow);

export function MigrationsPage() {
  const resource = useResource(`/migrations?limit=${ROWS_MAX}`, migrationRows);
  const [filter, setFilter] = useState<Filter>({ text: '', show: 'all' });
  return (
    <PageSection isFilled>
      <Content component="h1">Migrations</Content>
      <Toolbar>
        <ToolbarContent>
          <ToolbarItem>
            <SearchInput
              aria-label="Filter migrations"
              placeholder="VM, CSP, mode, phase…"
              value={filter.text}
              onChange={(_, text) => setFilter({ ...filter, text })}
              onClear={() => setFilter({ ...filter, text: '' })}
            />
          </ToolbarItem>
          <ToolbarItem>
            <ToggleGroup aria-label="Show">
              {SHOWS.map((show) => (
                <ToggleGroupItem
                  key={show}
                  text={show}
                  buttonId={`show-${show}`}
                  isSelected={filter.show === show}
                  onChange={() => setFilter({ ...filter, show })}
                />
              ))}
            </ToggleGroup>
          </ToolbarItem>
        </ToolbarContent>
      </Toolbar>
      <ResourceView resource={resource}>
        {({ items }) => {
          const shown = items.filter((row) => matches(row, filter));
          if (items.length === 0)
            return (
              <Nothing
                icon={MigrationIcon}
                title="No migrations yet"
                text="A scheduler asks for one, or an operator: carnet migration start VM --to CSP."
              />
            );
          if (shown.length === 0) return <Nothing title="No migration matches" text="Change the text or what is shown." />;
          return <MigrationTable migrations={shown} />;
        }}
      </ResourceView>
    </PageSection>
  );
}
