import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, logTail, startDaemon } from './daemon.ts';
import { DevError } from './error.ts';
import { type RunAs, runAs } from './identity.ts';
import { POLL_MS, PORT_TRIES_MAX, READY_MS_MAX } from './limits.ts';
import { freePort } from './ports.ts';
import { privateDir, privateFile } from './scratch.ts';
import { daemonEnv, natsServer } from './tools.ts';

export type NatsOptions = {
  /** Its own directory, made here. */
  readonly dir: string;
  /**
   * nats-server's configuration with `{{port}}` and `{{dir}}` in place of what is chosen here, e.g.
   * `listen: "127.0.0.1:{{port}}"` and `jetstream { store_dir: "{{dir}}/jetstream" }`.
   */
  readonly configText: string;
  readonly user?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Default: this process's own network, on loopback. */
  readonly network?: NatsNetwork;
};

/** Another network namespace for the server, which listens on all addresses there. */
export type NatsNetwork = {
  readonly enter: (command: readonly string[]) => readonly string[];
  /** An address of the server as this process reaches it. */
  readonly address: string;
};

/** A real nats-server; the port stays the same over restarts. */
export type Nats = Daemon & {
  /** `nats://<address>:<port>`; whether TLS follows is the configuration's word. */
  readonly url: string;
  readonly port: number;
  /** SIGHUP, optionally with another configuration; returns when the server says it took it, throws RELOAD_REFUSED with its reason. */
  reload(configText?: string): Promise<void>;
};

const LOOPBACK = '127.0.0.1';

/** Starts nats-server as an unprivileged user with the caller's configuration; give it JetStream's store below `{{dir}}`. */
export async function startNats(options: NatsOptions): Promise<Nats> {
  const as = runAs(options.user);
  privateDir(options.dir, as);
  const triesMax = options.port === undefined ? PORT_TRIES_MAX : 1;
  for (let tries = 1; ; tries += 1) {
    const port = options.port ?? (await freePort());
    try {
      return await startOn(port, options, as);
    } catch (cause) {
      const lostTheRace = cause instanceof DevError && cause.message.includes('address already in use');
      if (!lostTheRace || tries === triesMax) throw cause;
    }
  }
}

async function startOn(port: number, { dir, configText, network }: NatsOptions, as: RunAs): Promise<Nats> {
  const configFile = join(dir, 'nats.conf');
  const logFile = join(dir, 'nats.log');
  const address = network?.address ?? LOOPBACK;
  const heard = (text: string): string =>
    network === undefined ? text : text.replace(`"${LOOPBACK}:{{port}}"`, '"0.0.0.0:{{port}}"');
  const configure = (text: string): void =>
    privateFile(configFile, heard(text).replaceAll('{{port}}', String(port)).replaceAll('{{dir}}', dir), as);
  configure(configText);
  writeFileSync(logFile, '', { flag: 'a' });
  const daemon = await startDaemon({
    name: `nats-server in ${dir}`,
    as: network === undefined ? as : { ...as, wrap: (command, death) => network.enter(as.wrap(command, death)) },
    command: [natsServer(as), '--config', configFile],
    env: daemonEnv,
    cwd: dir,
    logFile,
    stopSignal: 'SIGTERM',
    ready: () => greets(address, port),
  });
  return Object.assign(daemon, {
    url: `nats://${address}:${port}`,
    port,
    reload: async (text?: string) => {
      if (text !== undefined) configure(text);
      const before = statSync(logFile).size;
      await daemon.kill('SIGHUP');
      await reloaded(logFile, before);
    },
  });
}

async function reloaded(logFile: string, fromByte: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < READY_MS_MAX; waitedMs += POLL_MS) {
    const news = readFileSync(logFile).subarray(fromByte).toString('utf8');
    if (news.includes('Reloaded server configuration')) return;
    if (news.includes('Failed to reload')) throw new DevError('RELOAD_REFUSED', news.trim());
    await sleep(POLL_MS);
  }
  throw new DevError('RELOAD_REFUSED', `no answer to SIGHUP\n${logTail(logFile)}`);
}

/** The server greets each client with an INFO line once it serves; before that, connections may just hang. */
function greets(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 500 });
    const answer = (yes: boolean): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('data', (first) => answer(first.toString('latin1').startsWith('INFO')));
    socket.once('error', () => answer(false));
    socket.once('timeout', () => answer(false));
    socket.once('close', () => answer(false));
  });
}
