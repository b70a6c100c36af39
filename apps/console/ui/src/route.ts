/** Where the operator is: the fragment of the address, so that the server needs no rewriting and links can be kept. */
export type Route =
  | { readonly page: 'migrations' }
  | { readonly page: 'migration'; readonly migration: string; readonly tab: MigrationTab }
  | { readonly page: 'keys' }
  | { readonly page: 'peers' }
  | { readonly page: 'hosts' }
  | { readonly page: 'unknown' };

export const MIGRATION_TABS = ['events', 'state'] as const;
export type MigrationTab = (typeof MIGRATION_TABS)[number];

export function parseRoute(hash: string): Route {
  const [page = '', id, tab, ...rest] = hash.replace(/^#\/?/, '').split('/');
  if (rest.length > 0) return { page: 'unknown' };
  switch (page) {
    case '':
    case 'migrations':
      return id === undefined ? { page: 'migrations' } : migrationRoute(id, tab);
    case 'keys':
    case 'peers':
    case 'hosts':
      return id === undefined ? { page } : { page: 'unknown' };
    default:
      return { page: 'unknown' };
  }
}

function migrationRoute(id: string, tab: string | undefined): Route {
  const known = tab === undefined ? 'events' : MIGRATION_TABS.find((name) => name === tab);
  return known === undefined || !/^[0-9a-f-]{36}$/.test(id)
    ? { page: 'unknown' }
    : { page: 'migration', migration: id, tab: known };
}

export function hrefOf(route: Exclude<Route, { page: 'unknown' }>): string {
  return route.page === 'migration' ? `#/migrations/${route.migration}/${route.tab}` : `#/${route.page}`;
}
