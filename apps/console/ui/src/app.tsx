import { Page, PageSection, SkipToContent } from '@patternfly/react-core';
import { LockIcon } from '@patternfly/react-icons/dist/esm/icons/lock-icon';
import type { MouseEvent } from 'react';
import { ConsoleMasthead, ConsoleSidebar } from './frame.tsx';
import { HostsPage } from './inventory/hosts-page.tsx';
import { PeersPage } from './inventory/peers-page.tsx';
import { KeysPage } from './keys/page.tsx';
import { LiveProvider, useLive } from './live/live.tsx';
import { MigrationPage } from './migration/page.tsx';
import { MigrationsPage } from './migrations/page.tsx';
import { Nothing } from './parts/resource-view.tsx';
import type { Route } from './route.ts';
import { KnownKeysProvider } from './signatures/known-keys.tsx';
import { StaleBanner } from './stale-banner.tsx';
import { useRoute } from './use-route.ts';

const MAIN = 'main-content';

/** Fragments are pages here, so the link moves the focus and not the address. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById(MAIN)?.focus();
}

export function App({ token }: { readonly token: string | undefined }) {
  if (token === undefined) return <Closed />;
  return (
    <LiveProvider token={token}>
      <KnownKeysProvider>
        <Frame />
      </KnownKeysProvider>
    </LiveProvider>
  );
}

function Frame() {
  const route = useRoute();
  const { connection } = useLive();
  if (connection === 'refused') return <Closed />;
  return (
    <Page
      isContentFilled
      mainContainerId={MAIN}
      isManagedSidebar
      masthead={<ConsoleMasthead />}
      sidebar={<ConsoleSidebar route={route} />}
      skipToContent={
        <SkipToContent href={`#${MAIN}`} onClick={skip}>
          Skip to content
        </SkipToContent>
      }
      banner={<StaleBanner />}
    >
      <PageOf route={route} />
    </Page>
  );
}

function PageOf({ route }: { readonly route: Route }) {
  switch (route.page) {
    case 'migrations':
      return <MigrationsPage />;
    case 'migration':
      return <MigrationPage key={route.migration} migration={route.migration} tab={route.tab} />;
    case 'keys':
      return <KeysPage />;
    case 'peers':
      return <PeersPage />;
    case 'hosts':
      return <HostsPage />;
    case 'unknown':
      return (
        <PageSection>
          <Nothing title="No such page" text="The address names nothing that this console shows." />
        </PageSection>
      );
    default:
      return route satisfies never;
  }
}

function Closed() {
  return (
    <PageSection isFilled>
      <Nothing
        icon={LockIcon}
        title="This console needs its link"
        text="Open the address that carnet-console printed when it started: it ends in #token=… Each start has a new one."
      />
    </PageSection>
  );
}
