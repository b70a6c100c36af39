import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { type Daemon, startDaemon } from './daemon.ts';
import { copyEmptyCluster } from './empty-cluster.ts';
import { DevError } from './error.ts';
import { type RunAs, runAs } from './identity.ts';
import { SOCKET_PATH_BYTES_MAX } from './limits.ts';
import { privateDir, privateFile } from './scratch.ts';
import { daemonEnv, postgresTool } from './tools.ts';

/** The database role of whoever may open the socket: the directory's Unix user, and root. */
const ROLE = 'carnet';

export type PostgresOptions = {
  /** Its own directory, made here; data, socket and log lie in it and survive `stop`. */
  readonly dir: string;
  readonly user?: string;
};

/** A real PostgreSQL on a unix socket, with fsync on. */
export type Postgres = Daemon & {
  /** For `pg` and psql alike: `postgresql://carnet@/postgres?host=<directory of the socket>`. */
  readonly url: string;
};

/**
 * Starts PostgreSQL as an unprivileged user without any TCP port. Two locks keep other users out: the
 * directory's mode 700, and peer authentication that maps only its user and root to the role.
 */
export async function startPostgres({ dir, user }: PostgresOptions): Promise<Postgres> {
  const as = runAs(user);
  privateDir(dir, as);
  const data = join(dir, 'data');
  const socketBytes = Buffer.byteLength(join(dir, '.s.PGSQL.5432'));
  if (socketBytes > SOCKET_PATH_BYTES_MAX)
    throw new DevError('PATH_TOO_LONG', `the socket in ${dir} would have ${socketBytes} bytes`);
  if (!existsSync(join(data, 'PG_VERSION'))) initialise(data, as);
  const daemon = await startDaemon({
    name: `postgres in ${dir}`,
    as,
    command: [postgresTool('postgres'), '-D', data, '-k', dir],
    env: daemonEnv,
    cwd: dir,
    logFile: join(dir, 'postgres.log'),
    // SIGINT is its fast shutdown: ends sessions and checkpoints. SIGTERM would wait for clients.
    stopSignal: 'SIGINT',
    ready: (pid) => saysReady(data, pid),
  });
  return Object.assign(daemon, { url: `postgresql://${ROLE}@/postgres?host=${dir}` });
}

/** A fresh, empty database on a running server: milliseconds, where a server of its own takes a second. */
export async function createDatabase(url: string, name: string): Promise<string> {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(name)) throw new DevError('NAME_INVALID', `database name ${name}`);
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`create database "${name}"`);
  } finally {
    await client.end();
  }
  return url.replace(/\/[^/?]*\?/, `/${name}?`);
}

function initialise(data: string, as: RunAs): void {
  copyEmptyCluster(data, ROLE, as);
  privateFile(join(data, 'pg_hba.conf'), 'local all all peer map=carnet\n', as);
  privateFile(join(data, 'pg_ident.conf'), `carnet ${as.identity.name} ${ROLE}\ncarnet root ${ROLE}\n`, as);
  privateFile(join(data, 'postgresql.auto.conf'), settings(), as);
}

function settings(): string {
  return [
    "listen_addresses = ''",
    'unix_socket_permissions = 0700',
    'fsync = on',
    'shared_buffers = 32MB',
    // In files below the data directory: shared memory in /dev/shm would outlive kill -9.
    'dynamic_shared_memory_type = mmap',
    "log_min_messages = 'warning'",
    '',
  ].join('\n');
}

/** postmaster.pid: line 1 the pid, line 8 the state. After kill -9 an old one lies there: its pid differs. */
function saysReady(data: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}
