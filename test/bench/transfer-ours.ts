import { type ChildProcess, fork } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rm, utimes } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { artifactId, type Digest, digest, type SealedArtifact } from '@carnet/events';
import { forget } from './processes.ts';
import type { Answer, Order } from './transfer-end.ts';

export interface Run {
  readonly seconds: number;
  readonly cpuSource: number;
  readonly cpuTarget: number;
  readonly peakMiB: number;
}

/** What stopped a transfer: its link, so that its map speaks of the file as it is; or the machine, so that nobody knows. */
export type Stopped = 'link-lost' | 'crashed';

export interface Ours {
  /** One whole transfer into a path that is empty before and after. */
  transfer(): Promise<Run>;
  /** The rest of a transfer that was stopped at a share of its bytes. */
  resume(share: number, stopped: Stopped): Promise<Run>;
  /** Resident size of the larger end before any transfer, in MiB. */
  readonly idleMiB: number;
  /** By how much either end has grown at most since then, in MiB, over all its transfers. */
  grownMiB(): Promise<number>;
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

/** Sealed once, as before every migration, and by a process of its own: sealing is no part of a transfer's memory or time. */
async function sealedOnce(file: string): Promise<{ readonly sealed: SealedArtifact; readonly manifest: string }> {
  const sealer = fork(END);
  const { sealed, manifest, code } = await ask(sealer, { do: 'seal', file, artifact: ARTIFACT });
  sealer.kill();
  if (sealed === undefined || manifest === undefined) throw new Error(`sealing was refused: ${code}`);
  return { sealed, manifest };
}

/** Our two ends, as two running processes. */
export async function startOurs(pki: string, file: string, into: string): Promise<Ours> {
  const { sealed, manifest } = await sealedOnce(file);
  const [source, target] = [fork(END), fork(END)];
  const pinnedLeaf = leafOf(`${pki}/client-cert.pem`);
  const { port, code } = await ask(source, { do: 'serve', pki, file, manifest, sealed, pinnedLeaf });
  if (port === undefined) throw new Error(`the source end refused: ${code}`);
  const usage = async (): Promise<readonly [Answer, Answer]> => [
    await ask(source, { do: 'usage' }),
    await ask(target, { do: 'usage' }),
  ];
  const idle = await usage();
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
    const before = await usage();
    const answer = await pull();
    if (answer.code !== undefined || answer.seconds === undefined) throw new Error(`our transfer was refused: ${answer.code}`);
    const after = await usage();
    await rm(into);
    return {
      seconds: answer.seconds,
      cpuSource: after[0].cpuSeconds - before[0].cpuSeconds,
      cpuTarget: after[1].cpuSeconds - before[1].cpuSeconds,
      peakMiB: Math.max(after[0].peakMiB, after[1].peakMiB),
    };
  };
  return {
    idleMiB: Math.max(idle[0].peakMiB, idle[1].peakMiB),
    transfer: whole,
    async resume(share, stopped) {
      const { code: outcome } = await pull(share);
      if (outcome !== 'ABORTED') throw new Error(`expected a stopped transfer, got ${outcome}`);
      const data = `${into}.receiving/data`;
      await forget(data);
      if (stopped === 'crashed') await utimes(data, 0, 0); // changed since its map was written, as after a crash in the middle
      return whole();
    },
    async grownMiB() {
      const now = await usage();
      return Math.max(now[0].peakMiB - idle[0].peakMiB, now[1].peakMiB - idle[1].peakMiB);
    },
    close() {
      source.kill();
      target.kill();
    },
  };
}
