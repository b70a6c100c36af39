import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { content, served } from './testing/fixture.ts';

const run = promisify(execFile);
const PULL = fileURLToPath(new URL('testing/pull-into.ts', import.meta.url));

/**
 * A receiver whose disk is a tmpfs of 24 MiB in a mount namespace of its own (util-linux's unshare; user namespaces must be
 * allowed). `filler` takes room away from it while the transfer runs, after the check of free space has passed.
 */
async function pullOntoSmallDisk(
  bytes: Buffer,
  filler: string,
  shape: { readonly chunkBytes: number; readonly sizeBytes?: number } = { chunkBytes: 65_536 },
): Promise<{ readonly code: string; readonly left: string }> {
  const at = await served(bytes, shape);
  try {
    const disk = join(at.dir, 'disk');
    await mkdir(disk);
    const { verifyPeer: _, ...request } = at.request;
    await writeFile(
      join(at.dir, 'request.json'),
      JSON.stringify({ ...request, into: join(disk, 'image'), rateBytesPerSecond: 4_194_304, stallMs: 30_000 }),
    );
    const script = `mount -t tmpfs -o size=24m none "$1" && { ${filler} & "$2" "$3" "$4"; wait; rm -f "$1/filler"; printf ' '; ls -A "$1"; }`;
    const { stdout } = await run('unshare', [
      '-rm',
      'sh',
      '-c',
      script,
      'sh',
      disk,
      process.execPath,
      PULL,
      join(at.dir, 'request.json'),
    ]);
    const [code = '', left = ''] = stdout.split(' ').map((part) => part.trim());
    return { code, left };
  } finally {
    await at.close();
  }
}

test('an image that the disk cannot hold is refused at once, and nothing is left', async () => {
  expect(readFileSync('/proc/filesystems', 'utf8')).toContain('tmpfs');
  expect(await pullOntoSmallDisk(content(30_000_000), ':')).toEqual({ code: 'DISK_FULL', left: '' });
});

test('a disk that fills up meanwhile: refused in the middle, and nothing is left', async () => {
  const filler =
    '{ while [ ! -s "$1/image.receiving/manifest" ]; do sleep 0.05; done; sleep 0.3; head -c 24m /dev/zero > "$1/filler" 2>/dev/null || true; }';
  expect(await pullOntoSmallDisk(content(14_000_000), filler)).toEqual({ code: 'DISK_FULL', left: '' });
});

test('a disk that the digests alone fill: refused in the middle of them, and nothing is left', async () => {
  // 32 bytes for each chunk, holes too: 12 MiB where 10 are left. Unlike for chunks, nobody asks beforehand whether there is room.
  const digests = { chunkBytes: 4_096, sizeBytes: 4_096 * 393_216 };
  expect(await pullOntoSmallDisk(content(4_096), 'head -c 14m /dev/zero > "$1/filler"', digests)).toEqual({
    code: 'DISK_FULL',
    left: '',
  });
});
