import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { runAs, runOnce } from '../identity.ts';
import { privateDir, privateFile } from '../scratch.ts';
import { daemonEnv, systemTool } from '../tools.ts';
import type { Keystone } from './keystone.ts';
import { startWsgi, type WsgiService } from './uwsgi.ts';

export type BarbicanOptions = {
  readonly dir: string;
  readonly user?: string;
  /** Who may come in. Without one: everybody on this machine, as whatever project the request names. */
  readonly keystone?: Keystone;
  /** Secrets that one project may hold. Default: no end. */
  readonly secretsMax?: number;
};

/** A real Barbican. `purge`: what its operator must run so that a deleted secret's ciphertext is gone. */
export type Barbican = WsgiService & { readonly databaseFile: string; readonly purge: () => void };

/** Debian's Barbican on loopback, with `store_crypto`, a KEK and a SQLite database of its own below `dir`. */
export async function startBarbican(options: BarbicanOptions): Promise<Barbican> {
  const { dir, keystone } = options;
  const as = runAs(options.user);
  // oslo.config reads `$HOME/.barbican/barbican.conf`: one HOME for each instance.
  for (const sub of ['', '.barbican']) privateDir(join(dir, sub), as);
  const databaseFile = join(dir, 'barbican.db');
  const paste = join(dir, 'paste.ini');
  const wsgiFile = join(dir, 'app.py');
  privateFile(wsgiFile, WSGI, as);
  privateFile(paste, pasteOf(keystone === undefined ? 'unauthenticated-context' : 'authtoken context'), as);
  const env = { ...daemonEnv, HOME: dir, BARBICAN_PASTE: paste };
  const kek = randomBytes(32).toString('base64');
  const account = keystone === undefined ? [] : await serviceAccount(keystone);
  const manage = (...words: readonly string[]): string => runOnce(as, [systemTool('barbican-manage'), ...words], env, dir);
  const configure = (port: number): void =>
    privateFile(
      join(dir, '.barbican', 'barbican.conf'),
      [...settings(options, databaseFile, kek, port), ...account, ''].join('\n'),
      as,
    );
  configure(0);
  manage('db', 'upgrade');
  // Without `X-Auth-Token` or a project any answer below 500 shows that it is up.
  const service = await startWsgi({ name: `barbican in ${dir}`, as, dir, wsgiFile, env, configure, healthPath: '/v1/secrets' });
  await keystone?.admin.registerService('key-manager', service.url);
  return Object.assign(service, { databaseFile, purge: () => void manage('db', 'clean', '--min-days', '0') });
}

async function serviceAccount({ url, admin }: Keystone): Promise<readonly string[]> {
  const project = await admin.createProject(`service-${randomBytes(4).toString('hex')}`);
  const user = await admin.createUser(`barbican-${randomBytes(4).toString('hex')}`, project, 'admin');
  return [
    '[keystone_authtoken]',
    `www_authenticate_uri = ${url}/v3`,
    `auth_url = ${url}/v3`,
    'auth_type = password',
    `user_id = ${user.id}`,
    `password = ${user.password}`,
    `project_id = ${project}`,
    // Any other value goes on accepting a revoked token until the cache forgets it.
    'token_cache_time = -1',
  ];
}

const settings = ({ secretsMax }: BarbicanOptions, databaseFile: string, kek: string, port: number): readonly string[] => [
  '[DEFAULT]',
  `sql_connection = sqlite:///${databaseFile}`,
  `host_href = http://127.0.0.1:${port}`,
  'db_auto_create = false',
  '[secretstore]',
  'enabled_secretstore_plugins = store_crypto',
  '[crypto]',
  'enabled_crypto_plugins = simple_crypto',
  '[simple_crypto_plugin]',
  // Its default is published.
  `kek = ${kek}`,
  '[keystone_notifications]',
  'enable = false',
  '[queue]',
  'enable = false',
  ...(secretsMax === undefined ? [] : ['[quotas]', `quota_secrets = ${secretsMax}`]),
];

const WSGI = `import os
from paste import deploy
application = deploy.loadapp('config:' + os.environ['BARBICAN_PASTE'])
`;

const pasteOf = (identity: string): string => `[composite:main]
use = egg:Paste#urlmap
/: versions
/v1: v1
[pipeline:versions]
pipeline = microversion versionapp
[app:versionapp]
paste.app_factory = barbican.api.app:create_version_app
[pipeline:v1]
pipeline = ${identity} microversion apiapp
[app:apiapp]
paste.app_factory = barbican.api.app:create_main_app
[filter:unauthenticated-context]
paste.filter_factory = barbican.api.middleware.context:UnauthenticatedContextMiddleware.factory
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
[filter:context]
paste.filter_factory = barbican.api.middleware.context:ContextMiddleware.factory
[filter:microversion]
paste.filter_factory = barbican.api.middleware.microversion:MicroversionMiddleware.factory
`;
