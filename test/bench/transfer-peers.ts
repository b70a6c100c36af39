import { copyFile, mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Command, command, endedChildrenCpu, forget, freePort, fsync, run, startDaemon, watchPeak } from './processes.ts';
import type { Run } from './transfer-ours.ts';

/** The tools that people use for this today, each at its best known settings. */
export interface Peer {
  readonly name: string;
  readonly remark: string;
  /** Copies `file` into `into`, durably; the daemon it needs is started before the clock and stopped after. */
  transfer(file: string, into: string): Promise<Run>;
}

/** Time from the call of the client to a finished fsync; the daemon's CPU counts, its start and its end do not. */
async function measured(daemon: Command, port: number, client: Command, into: string): Promise<Run> {
  const server = await startDaemon(daemon, port);
  try {
    const local = await timed(client, into);
    const cpuBefore = endedChildrenCpu();
    await server.stop();
    return { ...local, cpuSource: endedChildrenCpu() - cpuBefore };
  } finally {
    await server.stop();
  }
}

/** A command, and the fsync of what it wrote. */
async function timed(client: Command, into: string): Promise<Run> {
  const cpuBefore = endedChildrenCpu();
  const peak = watchPeak();
  const started = performance.now();
  await run(client);
  await fsync(into);
  const seconds = (performance.now() - started) / 1_000;
  return { seconds, cpuSource: 0, cpuTarget: endedChildrenCpu() - cpuBefore, peakMiB: peak() };
}

/** What the disk and the page cache allow: no network, no encryption, no check. */
export const cpLimit: Peer = {
  name: 'limit: cp on this disk',
  remark: 'no network, no encryption; checks nothing',
  transfer: (file, into) => timed(command('cp', '--reflink=never', '--sparse=auto', file, into), into),
};

interface Ssh {
  readonly daemon: Command;
  readonly port: number;
  readonly options: readonly string[];
}

/** An sshd of our own: own host key, own user key, loopback, nothing of the machine's configuration. */
async function prepareSsh(dir: string): Promise<Ssh> {
  const port = await freePort();
  const at = (name: string): string => join(dir, name);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const key of ['host', 'user']) await run(command('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', at(key)));
  await copyFile(at('user.pub'), at('authorized'));
  if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 }); // sshd's privilege separation wants it
  const settings = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${at('host')}`,
    `AuthorizedKeysFile ${at('authorized')}`,
    'UsePAM no',
    'StrictModes no',
    'PidFile none',
    'PermitRootLogin prohibit-password',
    'Subsystem sftp internal-sftp',
  ];
  await writeFile(at('sshd.conf'), `${settings.join('\n')}\n`);
  const options = [
    '-F',
    'none',
    '-i',
    at('user'),
    '-o',
    'StrictHostKeyChecking=no',
    '-o',
    'UserKnownHostsFile=/dev/null',
    '-o',
    'LogLevel=ERROR',
    '-c',
    'aes128-gcm@openssh.com',
  ];
  return { daemon: command('/usr/sbin/sshd', '-D', '-f', at('sshd.conf')), port, options };
}

const overRsync = (ssh: Ssh, flags: readonly string[], file: string, into: string): Command =>
  command(
    'rsync',
    ...flags,
    '-e',
    `ssh -p ${ssh.port} ${ssh.options.join(' ')}`,
    `${userInfo().username}@127.0.0.1:${file}`,
    into,
  );

export async function sshPeers(dir: string): Promise<{
  readonly scp: Peer;
  readonly rsync: Peer;
  readonly rsyncSparse: Peer;
  resumeByRsync(file: string, into: string, keepBytes: number): Promise<Run>;
}> {
  const ssh = await prepareSsh(dir);
  const over = (client: (file: string, into: string) => Command) => (file: string, into: string) =>
    measured(ssh.daemon, ssh.port, client(file, into), into);
  const remote = (file: string): string => `${userInfo().username}@127.0.0.1:${file}`;
  return {
    scp: {
      name: 'scp',
      remark: 'aes128-gcm; checks nothing at rest',
      transfer: over((file, into) => command('scp', '-q', '-P', String(ssh.port), ...ssh.options, remote(file), into)),
    },
    rsync: {
      name: 'rsync -W over ssh',
      remark: 'aes128-gcm; own checksum',
      transfer: over((file, into) => overRsync(ssh, ['-W', '--inplace'], file, into)),
    },
    rsyncSparse: {
      name: 'rsync -W -S over ssh',
      remark: 'aes128-gcm; own checksum',
      transfer: over((file, into) => overRsync(ssh, ['-W', '-S'], file, into)),
    },
    async resumeByRsync(file, into, keepBytes) {
      await copyFile(file, into);
      await truncate(into, keepBytes);
      await fsync(into);
      await forget(into);
      return measured(ssh.daemon, ssh.port, overRsync(ssh, ['--append-verify'], file, into), into);
    },
  };
}

/** Both over TLS with both certificates checked. */
export const nbdPeers = async (pki: string): Promise<readonly Peer[]> => {
  const port = await freePort();
  return [qemuPeer(pki, port), nbdcopyPeer(pki, port)];
};

/** nbdcopy from nbdkit over TLS: four connections, 64 requests in flight on each, holes by block status. */
function nbdcopyPeer(pki: string, port: number): Peer {
  const tls = ['--tls=require', `--tls-certificates=${pki}`, '--tls-verify-peer'];
  return {
    name: 'nbdcopy from nbdkit over TLS',
    remark: '4 connections; checks TLS records',
    transfer: (file, into) =>
      measured(
        command('nbdkit', '-f', '-i', '127.0.0.1', '-p', String(port), ...tls, '-r', 'file', file),
        port,
        command('nbdcopy', '-C', '4', '-R', '64', `nbds://localhost:${port}/?tls-certificates=${pki}`, into),
        into,
      ),
  };
}

/** qemu-img from qemu-nbd: sixteen requests in flight, out of order. */
function qemuPeer(pki: string, port: number): Peer {
  const credentials = (end: 'server' | 'client'): readonly string[] => [
    '--object',
    `tls-creds-x509,id=tls,endpoint=${end},dir=${pki},verify-peer=yes`,
  ];
  const source = `driver=raw,file.driver=nbd,file.host=127.0.0.1,file.port=${port},file.tls-creds=tls,file.tls-hostname=localhost`;
  return {
    name: 'qemu-img convert over NBD-TLS',
    remark: '-m 16 -W; checks TLS records',
    async transfer(file, into) {
      // Each probe of the port and the transfer itself is a client; -t keeps it from ending after the first.
      const daemon = command(
        'qemu-nbd',
        ...credentials('server'),
        '--tls-creds',
        'tls',
        '-f',
        'raw',
        '-r',
        '-t',
        '-e',
        '4',
        '-b',
        '127.0.0.1',
        '-p',
        String(port),
        file,
      );
      const client = command(
        'qemu-img',
        'convert',
        ...credentials('client'),
        '-m',
        '16',
        '-W',
        '--image-opts',
        source,
        '-O',
        'raw',
        into,
      );
      await rm(into, { force: true });
      return measured(daemon, port, client, into);
    },
  };
}
