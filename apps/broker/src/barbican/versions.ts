import type { z } from 'zod';
import type { version, versions } from './schemas.ts';

/** As OpenStack's API microversion header asks for it. */
export type Microversion = '1.0' | '1.1';
export const MICROVERSION_HEADER = 'openstack-api-version';

/** Several services may stand in one header; ours is `key-manager`. Undefined: a version that is not known here. */
export function microversionOf(header: string | string[] | undefined): Microversion | undefined {
  const said = (Array.isArray(header) ? header.join(',') : (header ?? ''))
    .split(',')
    .map((part) => part.trim().split(/\s+/))
    .find(([service]) => service?.toLowerCase() === 'key-manager')?.[1];
  switch (said?.toLowerCase()) {
    case undefined:
    case '1.0':
      return '1.0';
    case '1.1':
    case 'latest':
      return '1.1';
    default:
      return undefined;
  }
}

const linksOf = (base: string) => [
  { rel: 'self', href: `${base}/v1/` },
  { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' },
];
const JSON_OF_V1 = { base: 'application/json', type: 'application/vnd.openstack.key-manager-v1+json' };
const newest = (base: string) =>
  ({ id: 'v1', status: 'CURRENT', min_version: '1.0', max_version: '1.1', links: linksOf(base) }) as const;
const oldest = (base: string) => ({ id: 'v1', status: 'stable', links: linksOf(base), 'media-types': [JSON_OF_V1] }) as const;

/** `GET /v1`: what clients discover the API by. */
export const versionOf = (base: string, microversion: Microversion): z.infer<typeof version> => ({
  version: microversion === '1.0' ? oldest(base) : newest(base),
});
/** `GET /`. */
export const versionsOf = (base: string, microversion: Microversion): z.infer<typeof versions> => ({
  versions: microversion === '1.0' ? { values: [oldest(base)] } : [newest(base)],
});
