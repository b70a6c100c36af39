import {
  Flex,
  FlexItem,
  Label,
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  MastheadToggle,
  Nav,
  NavItem,
  NavList,
  PageSidebar,
  PageSidebarBody,
  PageToggleButton,
} from '@patternfly/react-core';
import { useLive } from './live/live.tsx';
import { consoleInfo } from './live/rows.ts';
import { useResource } from './live/use-resource.ts';
import { hrefOf, type Route } from './route.ts';

const PAGES = [
  { page: 'migrations', title: 'Migrations' },
  { page: 'keys', title: 'Keys' },
  { page: 'peers', title: 'Peers' },
  { page: 'hosts', title: 'Hosts' },
] as const;

export function ConsoleMasthead() {
  const { value } = useResource('/console', consoleInfo);
  return (
    <Masthead>
      <MastheadMain>
        <MastheadToggle>
          <PageToggleButton isHamburgerButton aria-label="Navigation" />
        </MastheadToggle>
        <MastheadBrand>
          <MastheadLogo href={hrefOf({ page: 'migrations' })} component="a">
            <img src="/carnet.svg" alt="" className="carnet-logo" />
            <span className="carnet-name">Carnet</span>
          </MastheadLogo>
        </MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <Flex
          className="carnet-masthead-end"
          justifyContent={{ default: 'justifyContentFlexEnd' }}
          columnGap={{ default: 'columnGapSm' }}
        >
          <FlexItem className="carnet-strong">{value?.domain}</FlexItem>
          <FlexItem>
            <ConnectionLabel />
          </FlexItem>
          <FlexItem>
            <Label variant="outline">read only</Label>
          </FlexItem>
        </Flex>
      </MastheadContent>
    </Masthead>
  );
}

function ConnectionLabel() {
  const { connection } = useLive();
  if (connection === 'live') return <Label status="success">live</Label>;
  if (connection === 'connecting') return <Label status="info">connecting</Label>;
  return <Label status="warning">stale</Label>;
}

export function ConsoleSidebar({ route }: { readonly route: Route }) {
  const current = route.page === 'migration' ? 'migrations' : route.page;
  return (
    <PageSidebar>
      <PageSidebarBody>
        <Nav aria-label="Pages">
          <NavList>
            {PAGES.map(({ page, title }) => (
              <NavItem key={page} to={hrefOf({ page })} isActive={page === current}>
                {title}
              </NavItem>
            ))}
          </NavList>
        </Nav>
      </PageSidebarBody>
    </PageSidebar>
  );
}
