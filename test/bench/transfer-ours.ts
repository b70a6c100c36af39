import { type ChildProcess, fork } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { artifactId, type Digest, digest } from '@carnet/events';
import { forget } from './processes.ts';
import type { Answer, Order } from './transfer-end.ts';

export interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

export interface Ours {
  /** One whole transfer into a path that is empty before and after. */
  transfer(): Promise<Run>;
  /** The rest of a transfer that was stopped at a share of its bytes. */
  resume(share: number): Promise<Run>;
  /** Resident size of the receiving process before it received anything, in MiB. */
  readonly idleMiB: number;
  close(): void;
}

const ARTIFACT = artifactId.parse('6b1f0c9e-0000-4000-8000-000000000002');
const END = fileURLToPath(new URL('transfer-end.ts', import.meta.url));

const ask = (end: ChildProcess, order: Order): Promise<Answer> =>
  new Promise((resolve, reject) => {
    end.once('message', (answer: Answer) => resolve(answer));
    end.once('exit', () => reject(new Error('an end of our transfer ended')));
    end.send(order);
  });

const leafOf = (path: string): Digest =>
  digest.parse(
    createHash('sha256')
      .update(new X509Certificate(readFileSync(path)).raw)
      .digest('hex'),
  );

/** Our two ends, as two running processes; the file is sealed once, as it is before every migration. */
export async function startOurs(pki: string, file: string, into: string): Promise<Ours> {
  const [source, target] = [fork(END), fork(END)];
  const { port, sealed, code } = await ask(source, {
    do: 'serve',
    pki,
    file,
    artifact: ARTIFACT,
    pinnedLeaf: leafOf(`${pki}/client-cert.pem`),
  });
  if (port === undefined || sealed === undefined) throw new Error(`the source end refused: ${code}`);
  const idleMiB = (await ask(target, { do: 'usage' })).peakMiB;
  const pull = (stopAtShare?: number): Promise<Answer> =>
    ask(target, {
      do: 'pull',
      pki,
      port,
      sealed,
      pinnedLeaf: leafOf(`${pki}/server-cert.pem`),
      into,
      ...(stopAtShare === undefined ? {} : { stopAtShare }),
    });
  const whole = async (): Promise<Run> => {
    const before = (await ask(source, { do: 'usage' })).cpuSeconds + (await ask(target, { do: 'usage' })).cpuSeconds;
    const answer = await pull();
    if (answer.code !== undefined || answer.seconds === undefined) throw new Error(`our transfer was refused: ${answer.code}`);
    const atSource = await ask(source, { do: 'usage' });
    await rm(into);
    return {
      seconds: answer.seconds,
      cpuSeconds: atSource.cpuSeconds + answer.cpuSeconds - before,
      peakMiB: Math.max(answer.peakMiB, atSource.peakMiB),
    };
  };
  return {
    idleMiB,
    transfer: whole,
    async resume(share) {
      const { code: stopped } = await pull(share);
      if (stopped !== 'ABORTED') throw new Error(`expected a stopped transfer, got ${stopped}`);
      await forget(`${into}.receiving/data`);
      return whole();
    },
    close() {
      source.kill();
      target.kill();
    },
  };
}
