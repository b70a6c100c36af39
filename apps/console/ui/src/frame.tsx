import {
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
  Toolbar,
  ToolbarContent,
  ToolbarGroup,
  ToolbarItem,
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
        <Toolbar isStatic>
          <ToolbarContent>
            <ToolbarGroup align={{ default: 'alignEnd' }} variant="label-group">
              <ToolbarItem>
                <span className="carnet-strong">{value?.domain}</span>
              </ToolbarItem>
              <ToolbarItem>
                <ConnectionLabel />
              </ToolbarItem>
              <ToolbarItem>
                <Label variant="outline">read only</Label>
              </ToolbarItem>
            </ToolbarGroup>
          </ToolbarContent>
        </Toolbar>
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
