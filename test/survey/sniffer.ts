import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Sniffer = {
  /** Ends it; answers all payloads by the port that they went to or came from, in order. */
  readonly stop: () => Promise<(port: number) => Buffer>;
};

/** A middle box on a wire: it sees each byte that goes to or comes from these ports. `inside`: what runs a command where that wire is. */
export async function sniff(
  file: string,
  device: string,
  ports: readonly number[],
  inside: readonly string[] = [],
): Promise<Sniffer> {
  const script = join(import.meta.dirname, 'sniffer.py');
  const [program = 'python3', ...args] = [...inside, 'python3', script, file, device, ...ports.map(String)];
  const tap = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [word] = await Promise.race([once(tap.stdout, 'data'), once(tap, 'exit').then(() => ['ended'])]);
  if (!String(word).startsWith('listening')) throw new Error('the sniffer does not start: it needs root and python3');
  return {
    stop: async () => {
      const ended = once(tap, 'exit');
      tap.kill('SIGTERM');
      await ended;
      const packets = readFileSync(file, 'latin1')
        .trim()
        .split('\n')
        .map((line) => line.split(' '));
      return (port) =>
        Buffer.concat(
          packets.flatMap(([from, to, hex = '']) =>
            Number(from) === port || Number(to) === port ? [Buffer.from(hex, 'hex')] : [],
          ),
        );
    },
  };
}
