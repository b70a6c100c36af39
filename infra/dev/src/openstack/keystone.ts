import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type RunAs, runAs, runOnce } from '../identity.ts';
import { privateDir, privateFile } from '../scratch.ts';
import { daemonEnv, systemTool } from '../tools.ts';
import { type KeystoneAdmin, keystoneAdmin } from './keystone-admin.ts';
import { startWsgi, type WsgiService } from './uwsgi.ts';

export type KeystoneOptions = { readonly dir: string; readonly user?: string };

/** A real Keystone; `admin` makes projects, users and credentials in it. */
export type Keystone = WsgiService & { readonly admin: KeystoneAdmin };

/** Debian's Keystone on loopback, with a SQLite database and keys of its own below `dir`. */
export async function startKeystone({ dir, user }: KeystoneOptions): Promise<Keystone> {
  const as = runAs(user);
  for (const sub of ['', 'fernet', 'credential', 'log']) privateDir(join(dir, sub), as);
  const manage = systemTool('keystone-manage');
  const configFile = join(dir, 'keystone.conf');
  privateFile(configFile, settings(dir), as);
  const password = randomBytes(24).toString('hex');
  const env = { ...daemonEnv, HOME: dir, OS_KEYSTONE_CONFIG_DIR: dir };
  const run = (...words: readonly string[]): string => runOnce(as, [manage, '--config-file', configFile, ...words], env, dir);
  run('db_sync');
  writeAhead(join(dir, 'keystone.db'), as);
  run('fernet_setup');
  run('credential_setup');
  const service = await startWsgi({
    name: `keystone in ${dir}`,
    as,
    dir,
    wsgiFile: systemTool('keystone-wsgi-public'),
    env,
    configure: (port) => {
      const url = `http://127.0.0.1:${port}/v3`;
      const urls = ['--bootstrap-public-url', url, '--bootstrap-internal-url', url, '--bootstrap-region-id', 'RegionOne'];
      runOnce(as, [manage, '--config-file', configFile, 'bootstrap', ...urls], { ...env, OS_BOOTSTRAP_PASSWORD: password }, dir);
    },
    healthPath: '/v3',
  });
  return Object.assign(service, { admin: await keystoneAdmin(service.url, password) });
}

/** Readers beside the one writer: without it a reader can meet "database is locked". */
function writeAhead(file: string, as: RunAs): void {
  const program = `import sqlite3,sys; sqlite3.connect(sys.argv[1]).execute('pragma journal_mode=wal')`;
  runOnce(as, [systemTool('python3'), '-I', '-c', program, file], daemonEnv);
}

const settings = (dir: string): string =>
  [
    '[DEFAULT]',
    `log_dir = ${join(dir, 'log')}`,
    '[database]',
    `connection = sqlite:///${join(dir, 'keystone.db')}`,
    '[token]',
    'provider = fernet',
    '[fernet_tokens]',
    `key_repository = ${join(dir, 'fernet')}`,
    '[fernet_receipts]',
    `key_repository = ${join(dir, 'fernet')}`,
    '[credential]',
    `key_repository = ${join(dir, 'credential')}`,
    '[identity]',
    // bcrypt at its lowest cost: the passwords of a test are random and live for minutes.
    'password_hash_rounds = 4',
    '[cache]',
    'enabled = true',
    'backend = oslo_cache.dict',
    '',
  ].join('\n');
