import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, createServer } from 'node:net';

/** Ticks per second of /proc/PID/stat; fixed at 100 in every Linux user space. */
const TICKS = 100;
const SAMPLE_MS = 100;

/** CPU seconds of all our children that have ended, their own ended children included. */
export const endedChildrenCpu = (): number => cpuIn(readFileSync('/proc/self/stat', 'utf8'), [13, 14]);

/** @param fields of /proc/PID/stat after the command's name, from 0: utime 11, stime 12, cutime 13, cstime 14 */
function cpuIn(stat: string, fields: readonly number[]): number {
  const values = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.reduce((sum, field) => sum + Number(values[field]), 0) / TICKS;
}

/** A file of /proc, or nothing when its process has ended meanwhile. */
function ofProcess(pid: number, file: 'stat' | 'status' | 'cmdline' | `task/${number}/children`): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** Processes below one, without the ends of our own transfer, which measure themselves. A few reads: watching must cost nothing. */
function toolsBelow(pid: number): readonly number[] {
  const children = ofProcess(pid, `task/${pid}/children`).split(' ').map(Number);
  const isTool = (child: number): boolean => child > 0 && !ofProcess(child, 'cmdline').includes('transfer-end');
  return children.flatMap((child) => (isTool(child) ? [child, ...toolsBelow(child)] : []));
}

/** Watches the largest resident size of any one tool until stopped; in MiB. */
export function watchPeak(): () => number {
  let peakKiB = 0;
  const look = (): void => {
    for (const pid of toolsBelow(process.pid))
      peakKiB = Math.max(peakKiB, Number(/VmHWM:\s+(\d+)/.exec(ofProcess(pid, 'status'))?.[1] ?? 0));
  };
  const timer = setInterval(look, SAMPLE_MS);
  return () => {
    look();
    clearInterval(timer);
    return peakKiB / 1_024;
  };
}

/** Resident now and at most, in MiB. */
export function residentOf(pid: number): { readonly nowMiB: number; readonly peakMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1_024;
  return { nowMiB: of('VmRSS'), peakMiB: of('VmHWM') };
}

/** CPU seconds of a process, its ended children included; 0 once it has ended itself: its parent has them. */
export function cpuOf(pid: number): number {
  const stat = ofProcess(pid, 'stat');
  return stat === '' ? 0 : cpuIn(stat, [11, 12, 13, 14]);
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}
export const command = (file: string, ...args: readonly string[]): Command => ({ file, args });

/** Runs a command to its end; its error output becomes the error. */
export async function run({ file, args }: Command): Promise<void> {
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    text = (text + bytes.toString()).slice(-2_000);
  });
  const code = await ended(child);
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${text.trim()}`);
}

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });

export interface Daemon {
  stop(): Promise<void>;
}

/** Starts a daemon in the foreground and waits until its port answers. */
export async function startDaemon({ file, args }: Command, port: number): Promise<Daemon> {
  const child = spawn(file, args, { stdio: 'ignore' });
  const exit = ended(child);
  for (let tries = 0; !(await answers(port)); tries++) {
    if (tries > 200 || child.exitCode !== null) throw new Error(`${file} does not listen on ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return {
    async stop() {
      child.kill('SIGTERM');
      await exit;
    },
  };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });

/** Until it is on disk, a copy is not a copy. */
export async function fsync(path: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.sync();
  await file.close();
}

/** Drops a file from the page cache: what a crash left is read from the disk. */
export const forget = (path: string): Promise<void> =>
  run(command('dd', `of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'));
