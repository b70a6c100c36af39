import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { restoreCapabilities, saveCapabilities } from './capabilities.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { DevError } from './error.ts';
import { type HookInstaller, prepareHooks } from './hooks.ts';
import { type RunAs, runAs, runOnce } from './identity.ts';
import { HOST_DIR_BYTES_MAX, KILL_MS_MAX } from './limits.ts';
import { accepts } from './ports.ts';
import { goneBlocking, processesUnder, signalQuietly } from './processes.ts';
import { privateDir, privateFile } from './scratch.ts';
import { daemonEnv, systemTool } from './tools.ts';

/** Certificates of a host's TLS listener, all paths readable by the host's user (libvirtd.conf(5)). */
export type HostTls = {
  readonly port: number;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Distinguished names that may connect, e.g. `O=CSP-B,CN=hv1.csp-b.example`. */
  readonly allowedNames: readonly string[];
};

export type HostOptions = {
  /** Its own directory, made here. */
  readonly dir: string;
  /** For messages. */
  readonly name: string;
  readonly user?: string;
  /** What libvirt reports as the host's identity; two hosts of one machine must differ to migrate. */
  readonly hostUuid: string;
  readonly tls?: HostTls;
  /** More lines for qemu.conf, e.g. migration ports and TLS directories. */
  readonly qemuConfig?: readonly string[];
  /** The command that puts a hook into a folder. Needs root to be of use: see `Host.hooks`. */
  readonly hook?: HookInstaller;
};

export type HostDirs = {
  readonly root: string;
  readonly config: string;
  readonly run: string;
  readonly cache: string;
  readonly data: string;
  /** For disk images. */
  readonly disks: string;
  /** For the guests' serial consoles. */
  readonly consoles: string;
};

/** One hypervisor host: a real libvirtd session daemon and the guests it runs. */
export type Host = Daemon & {
  readonly name: string;
  readonly socket: string;
  /** For virsh: `qemu+unix:///session?socket=…`. */
  readonly uri: string;
  readonly dirs: HostDirs;
  /** Its own hooks folder; absent: it has no hook, because none was asked for or nobody could mount it. */
  readonly hooks?: string;
  readonly as: RunAs;
  /** Where its libvirtd keeps the state of vTPMs. */
  readonly swtpm: string;
  /** virsh as this host's user, against this host only; returns stdout. */
  virsh(...args: readonly string[]): string;
};

/**
 * Starts libvirtd as that user with its own XDG directories. `stop` also ends the guests and their
 * vTPMs, by pid; `kill` takes only the daemon, as a crash would: guests live on and `restart` finds them.
 */
export async function startHost(options: HostOptions): Promise<Host> {
  if (Buffer.byteLength(options.dir) > HOST_DIR_BYTES_MAX) {
    throw new DevError(
      'PATH_TOO_LONG',
      `${options.dir}: a guest's monitor socket needs a directory of at most ${HOST_DIR_BYTES_MAX} bytes`,
    );
  }
  const as = runAs(options.user);
  const dirs = makeDirs(options.dir, as);
  privateFile(join(dirs.config, 'libvirt', 'libvirtd.conf'), daemonConfig(options), as);
  privateFile(
    join(dirs.config, 'libvirt', 'qemu.conf'),
    ['stdio_handler = "file"', ...(options.qemuConfig ?? []), ''].join('\n'),
    as,
  );
  restoreCapabilities(dirs.cache, as);
  const socket = join(dirs.run, 'libvirt', 'libvirt-sock');
  const uri = `qemu+unix:///session?socket=${socket}`;
  const env = hostEnv(dirs);
  const hooks = options.hook === undefined ? undefined : prepareHooks(dirs.root, as, options.hook);
  const daemon = await startDaemon({
    name: `libvirtd ${options.name}`,
    as: hooks?.as ?? as,
    command: [systemTool('libvirtd'), ...(options.tls === undefined ? [] : ['--listen'])],
    env,
    cwd: dirs.root,
    logFile: join(dirs.root, 'libvirtd.log'),
    stopSignal: 'SIGTERM',
    ready: () => accepts({ path: socket }),
    afterwards: () => {
      endGuests(dirs.root);
      saveCapabilities(dirs.cache);
    },
  });
  const virsh = (...args: readonly string[]): string => runOnce(as, [systemTool('virsh'), '-q', '-c', uri, ...args], env);
  const own = { name: options.name, socket, uri, dirs, as, swtpm: join(dirs.config, 'libvirt', 'qemu', 'swtpm'), virsh };
  return Object.assign(daemon, own, hooks === undefined ? {} : { hooks: hooks.dir });
}

function makeDirs(dir: string, as: RunAs): HostDirs {
  const root = privateDir(dir, as);
  const sub = (name: string): string => privateDir(join(root, name), as);
  const dirs = {
    root,
    config: sub('cfg'),
    run: sub('run'),
    cache: sub('cache'),
    data: sub('data'),
    disks: sub('disks'),
    consoles: sub('consoles'),
  };
  privateDir(join(dirs.config, 'libvirt'), as);
  mkdirSync(join(dirs.run, 'libvirt'), { recursive: true });
  privateDir(join(dirs.run, 'libvirt'), as);
  return dirs;
}

function hostEnv(dirs: HostDirs): Readonly<Record<string, string>> {
  return {
    ...daemonEnv,
    HOME: dirs.root,
    XDG_CONFIG_HOME: dirs.config,
    XDG_RUNTIME_DIR: dirs.run,
    XDG_CACHE_HOME: dirs.cache,
    XDG_DATA_HOME: dirs.data,
  };
}

function daemonConfig({ hostUuid, tls }: HostOptions): string {
  const lines = [`host_uuid = "${hostUuid}"`, 'listen_tcp = 0', 'log_level = 3', 'log_outputs = "3:stderr"'];
  if (tls === undefined) return [...lines, 'listen_tls = 0', ''].join('\n');
  const quoted = tls.allowedNames.map((name) => `"${name}"`).join(', ');
  return [
    ...lines,
    'listen_tls = 1',
    'listen_addr = "127.0.0.1"',
    `tls_port = "${tls.port}"`,
    'auth_tls = "none"',
    `ca_file = "${tls.caFile}"`,
    `cert_file = "${tls.certFile}"`,
    `key_file = "${tls.keyFile}"`,
    `tls_allowed_dn_list = [${quoted}]`,
    '',
  ].join('\n');
}

/** QEMU and swtpm detach from libvirtd, so they are found by the host's directory in their arguments. */
function endGuests(root: string): void {
  const guests = processesUnder(root);
  for (const { pid } of guests) signalQuietly(pid, 'SIGKILL');
  for (const { pid } of guests) {
    if (!goneBlocking(pid, KILL_MS_MAX)) throw new DevError('STILL_RUNNING', `pid ${pid} below ${root} outlived SIGKILL`);
  }
}
