import type { RealSide } from '../harness/real-side.ts';
import { backUp, restoreBackup } from './backup.ts';
import type { Blow } from './blow.ts';
import { corruptRow, cutDataPath, cutWires, fillDisk, setClock } from './harm.ts';
import type { Fault } from './matrix.ts';
import { strikeProcess } from './processes.ts';
import { backUpStreams, truncateStreams, wipeStreams } from './streams.ts';
import type { World } from './world.ts';

/** What a fault has to do before the migration begins. */
export async function prepareFault({ kind }: Fault, world: World, side: RealSide): Promise<void> {
  if (kind === 'stream-truncated') await backUpStreams(world);
  if (kind === 'old-backup') await backUp(side);
}

/** Does the harm and mends it again. */
export function strike(
  fault: Fault,
  world: World,
  side: RealSide,
  given: { readonly migration: string; readonly stopMs: number },
): Promise<Blow> {
  switch (fault.kind) {
    case 'kill':
    case 'stop':
    case 'restart':
      return strikeProcess(fault, world, side, given.stopMs);
    case 'cut':
      return cutWires(world, side, ['out', 'in']);
    case 'cut-out':
      return cutWires(world, side, ['out']);
    case 'cut-in':
      return cutWires(world, side, ['in']);
    case 'data-cut':
      return cutDataPath(world, side, ['out', 'in']);
    case 'data-cut-out':
      return cutDataPath(world, side, ['out']);
    case 'data-cut-in':
      return cutDataPath(world, side, ['in']);
    case 'disk-full':
      return fillDisk(side, fault.disk);
    case 'clock-ahead':
      return setClock(side, 1);
    case 'clock-behind':
      return setClock(side, -1);
    case 'corrupt-row':
      return corruptRow(side, given.migration);
    case 'old-backup':
      return restoreBackup(side);
    case 'stream-wiped':
      return wipeStreams(world);
    case 'stream-truncated':
      return truncateStreams(world, given.migration);
    default:
      return unreachable(fault);
  }
}

function unreachable(never: never): never {
  throw new Error(`unreachable: ${JSON.stringify(never)}`);
}
