import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, startDaemon } from '../daemon.ts';
import { DevError } from '../error.ts';
import type { RunAs } from '../identity.ts';
import { PORT_TRIES_MAX } from '../limits.ts';
import { freePort } from '../ports.ts';
import { daemonEnv, systemTool } from '../tools.ts';

export type WsgiOptions = {
  readonly name: string;
  readonly as: RunAs;
  readonly dir: string;
  readonly wsgiFile: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs before each try: the service's own configuration names its port. */
  readonly configure: (port: number) => Promise<void> | void;
  /** Answers with any status below 500 once the service is up. */
  readonly healthPath: string;
};

export type WsgiService = Daemon & { readonly url: string };

/**
 * An OpenStack API under uWSGI on a loopback port. One process with one thread and no master above it: their SQLite takes one
 * writer, a SIGKILL leaves no worker behind that holds the port, and `Connection: close`
 * keeps a client from holding the only thread.
 */
export async function startWsgi(options: WsgiOptions): Promise<WsgiService> {
  for (let tries = 1; ; tries += 1) {
    const port = await freePort();
    await options.configure(port);
    try {
      return await startOn(port, options);
    } catch (cause) {
      const lostTheRace = cause instanceof DevError && cause.message.includes('Address already in use');
      if (!lostTheRace || tries === PORT_TRIES_MAX) throw cause;
    }
  }
}

async function startOn(port: number, { name, as, dir, wsgiFile, env, healthPath }: WsgiOptions): Promise<WsgiService> {
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(dir, 'uwsgi.log');
  writeFileSync(logFile, '', { flag: 'a' });
  const daemon = await startDaemon({
    name,
    as,
    command: [
      systemTool('uwsgi_python3'),
      '--http-socket',
      `127.0.0.1:${port}`,
      '--wsgi-file',
      wsgiFile,
      '--enable-threads',
      '--processes',
      '1',
      '--threads',
      '1',
      '--buffer-size',
      '65535',
      '--need-app',
      '--die-on-term',
      '--add-header',
      'Connection: close',
    ],
    env: { ...daemonEnv, ...env },
    cwd: dir,
    logFile,
    stopSignal: 'SIGTERM',
    ready: () => answers(`${url}${healthPath}`),
  });
  return Object.assign(daemon, { url });
}

/** Asked one at a time: the first answer comes when the application is loaded. */
const HEALTH_MS_MAX = 5_000;

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTH_MS_MAX) });
    await response.arrayBuffer();
    return response.status < 500;
  } catch {
    return false;
  }
}
