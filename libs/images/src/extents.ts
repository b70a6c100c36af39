import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { ChunkGrid } from './grid.ts';

const run = promisify(execFile);

/** Output of `qemu-img map`, in bytes: 500,000 extents. A file torn further is read whole instead. */
const MAP_BYTES_MAX = 67_108_864;
const MAP_MS_MAX = 30_000;

const mapOutput = z.array(z.object({ start: z.int().min(0), length: z.int().min(0), data: z.boolean() }));

/** Tells for a chunk whether the file system holds no block of it, so that it need not be read. */
export type HoleMap = (index: number) => boolean;

const nothingKnown: HoleMap = () => false;

/**
 * Holes of a file by SEEK_DATA, which Node does not offer and `qemu-img map` does. The format is given as raw: no byte of
 * the content is interpreted. Without qemu-img every chunk is read and compared with zero: slower, never wrong.
 */
export async function holeMap(path: string, grid: ChunkGrid, allocatedBytes: number): Promise<HoleMap> {
  if (allocatedBytes >= grid.sizeBytes) return nothingKnown;
  let text: string;
  try {
    const { stdout } = await run('qemu-img', ['map', '--output=json', '-f', 'raw', path], {
      maxBuffer: MAP_BYTES_MAX,
      timeout: MAP_MS_MAX,
    });
    text = stdout;
  } catch {
    return nothingKnown; // missing, too old or too torn a file: an optimisation less
  }
  const parsed = mapOutput.safeParse(JSON.parse(text));
  return parsed.success ? fromExtents(parsed.data, grid) : nothingKnown;
}

/** Chunks that no data extent touches. Asked in ascending order, so one walk over the extents is enough. */
function fromExtents(
  extents: readonly { readonly start: number; readonly length: number; readonly data: boolean }[],
  grid: ChunkGrid,
): HoleMap {
  const data = extents.filter((extent) => extent.data && extent.length > 0);
  let at = 0;
  let asked = -1;
  return (index) => {
    if (index < asked) at = 0;
    asked = index;
    const start = index * grid.chunkBytes;
    for (let extent = data[at]; extent !== undefined && extent.start + extent.length <= start; extent = data[at]) at++;
    const next = data[at];
    return next === undefined || next.start >= start + grid.chunkBytes;
  };
}
