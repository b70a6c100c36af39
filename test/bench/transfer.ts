import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchCase, type BenchResult, benchCase, median, type Series } from './result.ts';
import { denseImage, makePki, sparseImage } from './transfer-fixture.ts';
import { type Run, startOurs } from './transfer-ours.ts';
import { nbdPeer, type Peer, sshPeers } from './transfer-peers.ts';

const MIB = 1_048_576;

export interface TransferBenchOptions {
  /** Interleaved runs of the dense and of the resume case. */
  readonly runs?: number;
  /** Allocated MiB of the dense image; the sparse one is four times as long with half of it allocated. */
  readonly mebibytes?: number;
}

type Contender = { readonly name: string; readonly remark: string; readonly once: () => Promise<Run> };

/** Runs all contenders in turn, round by round, so that a noisy minute hits everyone alike. */
async function interleave(
  contenders: readonly Contender[],
  rounds: number,
  value: (run: Run) => number,
): Promise<readonly Series[]> {
  const runs = contenders.map((): Run[] => []);
  for (let round = 0; round < rounds; round++)
    for (const [index, contender] of contenders.entries()) runs[index]?.push(await contender.once());
  return contenders.map(({ name, remark }, index) => {
    const mine = runs[index] ?? [];
    const values = mine.map(value);
    return {
      name,
      values,
      median: median(values),
      cpuSeconds: median(mine.map((run) => run.cpuSeconds)),
      peakMiB: Math.max(...mine.map((run) => run.peakMiB)),
      remark,
    };
  });
}

function compared(name: string, unit: string, better: 'higher' | 'lower', series: readonly Series[]): BenchCase {
  const [ours, ...peers] = series;
  if (ours === undefined) throw new Error('expected our own series first');
  return benchCase(name, unit, better, ours, peers);
}

/**
 * Our carrier against scp, rsync and qemu-img over NBD-TLS: loopback, source warm in the page cache, until a finished fsync.
 * Ours checks every byte against the signed root; the others do not.
 */
export async function transferBench({ runs = 3, mebibytes = 1_024 }: TransferBenchOptions = {}): Promise<BenchResult> {
  const dir = await mkdtemp(join(tmpdir(), 'carnet-bench-'));
  try {
    const pki = await makePki(join(dir, 'pki'));
    const ssh = await sshPeers(join(dir, 'ssh'));
    const nbd = await nbdPeer(pki);
    const dense = await denseImage(dir, mebibytes);
    const cases = [
      await denseCases(dir, pki, dense, [ssh.scp, ssh.rsync, nbd], runs),
      await resumeCase(dir, pki, dense, ssh.resumeByRsync, runs),
    ];
    await rm(dense);
    const sparse = await sparseImage(dir, mebibytes * 4);
    cases.push(await sparseCase(dir, pki, sparse, [ssh.scp, ssh.rsyncSparse, nbd], mebibytes / 2));
    return { name: 'transfer', cases };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const contenderOf = (peer: Peer, dir: string, file: string): Contender => {
  const into = join(dir, 'theirs');
  return { name: peer.name, remark: peer.remark, once: () => peer.transfer(file, into).finally(() => rm(into, { force: true })) };
};

const REMARK = 'content against the signed root, both certificates';
const withIdle = (idleMiB: number): string => `${REMARK}; ${Math.round(idleMiB)} MiB of the peak is the idle process`;

async function denseCases(dir: string, pki: string, file: string, peers: readonly Peer[], runs: number): Promise<BenchCase> {
  const mebibytes = (await stat(file)).size / MIB;
  const ours = await startOurs(pki, file, join(dir, 'ours'));
  try {
    const contenders = [
      { name: 'carnet', remark: withIdle(ours.idleMiB), once: ours.transfer },
      ...peers.map((peer) => contenderOf(peer, dir, file)),
    ];
    return compared(
      `dense, ${Math.round(mebibytes)} MiB allocated LUKS image`,
      'MiB/s',
      'higher',
      await interleave(contenders, runs, ({ seconds }) => mebibytes / seconds),
    );
  } finally {
    ours.close();
  }
}

async function sparseCase(dir: string, pki: string, file: string, peers: readonly Peer[], allocated: number): Promise<BenchCase> {
  const ours = await startOurs(pki, file, join(dir, 'ours'));
  try {
    const contenders = [
      { name: 'carnet', remark: REMARK, once: ours.transfer },
      ...peers.map((peer) => contenderOf(peer, dir, file)),
    ];
    return compared(
      `sparse, ${allocated} MiB allocated of ${allocated * 8}`,
      's',
      'lower',
      await interleave(contenders, 1, ({ seconds }) => seconds),
    );
  } finally {
    ours.close();
  }
}

/** What is left to do after nine tenths: everyone must look at what is there before the rest counts. */
async function resumeCase(
  dir: string,
  pki: string,
  file: string,
  byRsync: (file: string, into: string, keepBytes: number) => Promise<Run>,
  runs: number,
): Promise<BenchCase> {
  const share = 0.9;
  const { size } = await stat(file);
  const into = join(dir, 'theirs');
  const ours = await startOurs(pki, file, join(dir, 'ours'));
  try {
    const contenders = [
      { name: 'carnet', remark: 'every kept chunk hashed again', once: () => ours.resume(share) },
      {
        name: 'rsync --append-verify',
        remark: 'own checksum',
        once: () => byRsync(file, into, Math.floor(size * share)).finally(() => rm(into, { force: true })),
      },
    ];
    return compared('resume at 90 %', 's', 'lower', await interleave(contenders, Math.min(runs, 3), ({ seconds }) => seconds));
  } finally {
    ours.close();
  }
}
