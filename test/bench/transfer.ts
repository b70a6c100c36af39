import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchCase, type BenchResult, benchCase, median, type Series } from './result.ts';
import { denseImage, makePki, sparseImage } from './transfer-fixture.ts';
import { type Ours, type Run, type Stopped, startOurs } from './transfer-ours.ts';
import { cpLimit, nbdPeers, type Peer, sshPeers } from './transfer-peers.ts';

const MIB = 1_048_576;

export interface TransferBenchOptions {
  /** Interleaved rounds; tools that read every hole take part in the first one only of the sparse case. */
  readonly runs?: number;
  /** Allocated MiB of the dense image; the sparse one is four times as long with an eighth of it allocated. */
  readonly mebibytes?: number;
}

interface Contender {
  readonly name: string;
  readonly remark: string;
  readonly once: () => Promise<Run>;
  readonly rounds: number;
}

/** Runs all contenders in turn, round by round, so that a noisy minute hits everyone alike. */
async function interleave(contenders: readonly Contender[], value: (run: Run) => number): Promise<readonly Series[]> {
  const runs = contenders.map((): Run[] => []);
  for (let round = 0; contenders.some(({ rounds }) => round < rounds); round++)
    for (const [index, { rounds, once }] of contenders.entries()) if (round < rounds) runs[index]?.push(await once());
  return contenders.map(({ name, remark }, index) => {
    const mine = runs[index] ?? [];
    const values = mine.map(value);
    return {
      name,
      values,
      median: median(values),
      cpuSeconds: median(mine.map(({ cpuSource, cpuTarget }) => cpuSource + cpuTarget)),
      cpuOfEnds: { source: median(mine.map((run) => run.cpuSource)), target: median(mine.map((run) => run.cpuTarget)) },
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
 * Our carrier against the tools that people use for this: loopback, source warm in the page cache, until a finished fsync.
 * Ours checks every byte against the signed root; the others do not.
 */
export async function transferBench({ runs = 3, mebibytes = 1_024 }: TransferBenchOptions = {}): Promise<BenchResult> {
  const dir = await mkdtemp(join(tmpdir(), 'carnet-bench-'));
  try {
    const pki = await makePki(join(dir, 'pki'));
    const ssh = await sshPeers(join(dir, 'ssh'));
    const nbd = await nbdPeers(pki);
    const dense = await denseImage(dir, mebibytes);
    const denseCases = await against(dir, pki, dense, async (ours) => [
      ...(await denseAndMemory(dir, dense, ours, [ssh.scp, ssh.rsync, ...nbd, cpLimit], runs)),
      await resumeCase(dir, dense, ours, ssh.resumeByRsync, runs),
    ]);
    await rm(dense);
    const sparse = await sparseImage(dir, mebibytes * 4);
    const sparseCases = await against(dir, pki, sparse, async (ours) => [
      await sparseCase(dir, sparse, ours, [...nbd, cpLimit], [ssh.scp, ssh.rsyncSparse], runs),
    ]);
    return { name: 'transfer', cases: [...denseCases, ...sparseCases] };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function against<T>(dir: string, pki: string, file: string, work: (ours: Ours) => Promise<T>): Promise<T> {
  const ours = await startOurs(pki, file, join(dir, 'ours'));
  try {
    return await work(ours);
  } finally {
    ours.close();
  }
}

const contenderOf = (peer: Peer, dir: string, file: string, rounds: number): Contender => {
  const into = join(dir, 'theirs');
  const { name, remark } = peer;
  return { name, remark, rounds, once: () => peer.transfer(file, into).finally(() => rm(into, { force: true })) };
};

const REMARK = 'content against the signed root, both certificates';

async function denseAndMemory(
  dir: string,
  file: string,
  ours: Ours,
  peers: readonly Peer[],
  runs: number,
): Promise<readonly BenchCase[]> {
  const mebibytes = (await stat(file)).size / MIB;
  const remark = `${REMARK}; ${Math.round(ours.idleMiB)} MiB of the peak is the idle process`;
  const series = await interleave(
    [{ name: 'carnet', remark, rounds: runs, once: ours.transfer }, ...peers.map((peer) => contenderOf(peer, dir, file, runs))],
    ({ seconds }) => mebibytes / seconds,
  );
  const grown = await ours.grownMiB();
  const mine: Series = {
    name: 'carnet',
    values: [grown],
    median: grown,
    remark: `growth of the larger end over ${runs} transfers one after the other`,
  };
  const theirs = series.slice(1).map(({ name, peakMiB = 0 }) => ({ name, values: [peakMiB], median: peakMiB }));
  return [
    compared(`dense, ${Math.round(mebibytes)} MiB allocated LUKS image`, 'MiB/s', 'higher', series),
    compared('memory of a transfer, the largest process of the others', 'MiB', 'lower', [mine, ...theirs]),
  ];
}

async function sparseCase(
  dir: string,
  file: string,
  ours: Ours,
  skipping: readonly Peer[],
  reading: readonly Peer[],
  runs: number,
): Promise<BenchCase> {
  const { size, blocks } = await stat(file);
  const series = await interleave(
    [
      { name: 'carnet', remark: REMARK, rounds: runs, once: ours.transfer },
      ...skipping.map((peer) => contenderOf(peer, dir, file, runs)),
      ...reading.map((peer) => contenderOf(peer, dir, file, 1)),
    ],
    ({ seconds }) => seconds,
  );
  return compared(`sparse, ${Math.round((blocks * 512) / MIB)} MiB allocated of ${size / MIB}`, 's', 'lower', series);
}

/** What is left to do after nine tenths. */
async function resumeCase(
  dir: string,
  file: string,
  ours: Ours,
  byRsync: (file: string, into: string, keepBytes: number) => Promise<Run>,
  rounds: number,
): Promise<BenchCase> {
  const share = 0.9;
  const { size } = await stat(file);
  const into = join(dir, 'theirs');
  const after = (stopped: Stopped) => (): Promise<Run> => ours.resume(share, stopped);
  const series = await interleave(
    [
      { name: 'carnet', remark: 'the link was lost: chunks were verified as they came', rounds, once: after('link-lost') },
      { name: 'carnet after a crash', remark: 'every kept chunk hashed again', rounds, once: after('crashed') },
      {
        name: 'rsync --append-verify',
        remark: 'own checksum of all that is there',
        rounds,
        once: () => byRsync(file, into, Math.floor(size * share)).finally(() => rm(into, { force: true })),
      },
    ],
    ({ seconds }) => seconds,
  );
  return compared('resume at 90 %', 's', 'lower', series);
}
