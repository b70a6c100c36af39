import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { HostError } from './codes.ts';
import { memoryFiles } from './fake/memory-files.ts';
import { nodeFiles, removeUnfinished } from './node-files.ts';
import type { HostFiles } from './ports/files.ts';

const root = mkdtempSync(join(tmpdir(), 'carnet-files-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.each<[string, HostFiles, string]>([
  ['on disk', nodeFiles, root],
  ['in memory', memoryFiles({ tmpfs: ['/t'] }), '/m'],
])('host files %s', (_, files, dir) => {
  const path = join(dir, 'deep', 'file');

  it('what is not there is nothing, and removing it is done', async () => {
    expect([await files.read(path), await files.size(path), await files.list(dir)]).toEqual([undefined, undefined, []]);
    expect(await files.head(path, 10)).toHaveLength(0);
    await files.remove(path);
  });

  it('writes whole, appends, cuts, renames, removes', async () => {
    await files.write(path, Buffer.from('one'));
    await files.write(path, Buffer.from('three'));
    await files.append(path, Buffer.from('+four'));
    expect((await files.read(path))?.toString()).toBe('three+four');
    expect((await files.head(path, 2)).toString()).toBe('th');
    await files.truncate(path, 5);
    expect(await files.size(path)).toBe(5);
    await files.rename(path, join(dir, 'deep', 'other'));
    expect(await files.list(join(dir, 'deep'))).toEqual(['other']);
    await files.remove(join(dir, 'deep'));
    expect(await files.list(dir)).toEqual([]);
    expect(await files.freeBytes(dir === '/m' ? '/m' : root)).toBeGreaterThan(0);
  });
});

describe('on disk', () => {
  it('leaves no partial file, and nothing that others may read', async () => {
    const path = join(root, 'private', 'entry');
    await nodeFiles.write(path, Buffer.from('x'));
    expect(readdirSync(join(root, 'private'))).toEqual(['entry']);
    expect(statSync(path).mode & 0o077).toBe(0);
    expect(statSync(join(root, 'private')).mode & 0o077).toBe(0);
    expect(readFileSync(path, 'utf8')).toBe('x');
    chmodSync(path, 0o600);
  });

  it('knows a tmpfs from a disk', async () => {
    expect([await nodeFiles.isTmpfs('/dev/shm'), await nodeFiles.isTmpfs('/proc'), await nodeFiles.isTmpfs('/nowhere')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('a failing disk is an accident with its code', async () => {
    await nodeFiles.write(join(root, 'plain'), Buffer.from('x'));
    await expect(nodeFiles.write(join(root, 'plain', 'below'), Buffer.from('x'))).rejects.toThrow(HostError);
    await expect(nodeFiles.rename(join(root, 'none'), join(root, 'some'))).rejects.toMatchObject({
      setback: { code: 'DISK_FAILED' },
    });
  });

  it('what a process was writing when it was killed is found and removed by the next, and nothing else', async () => {
    const path = join(root, 'killed', 'leases', 'entry.json');
    await nodeFiles.write(path, Buffer.from('old'));
    writeFileSync(join(root, 'killed', 'memory.state.partial'), 'of another hand');
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', KILLED_BEFORE_RENAME, path]);
    expect(signal).toBe('SIGKILL');
    const left = readdirSync(join(root, 'killed', 'leases')).filter((name) => name !== 'entry.json');
    expect(left).toHaveLength(1);
    expect(await removeUnfinished(join(root, 'killed'))).toEqual(left.map((name) => join(root, 'killed', 'leases', name)));
    expect(readdirSync(join(root, 'killed'), { recursive: true }).toSorted()).toEqual([
      'leases',
      'leases/entry.json',
      'memory.state.partial',
    ]);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(await removeUnfinished(join(root, 'nowhere'))).toEqual([]);
  });
});

/** Writes a file with `nodeFiles`, and dies once it is whole under its other name. */
const KILLED_BEFORE_RENAME = `
  import fs from 'node:fs/promises';
  import { syncBuiltinESMExports } from 'node:module';
  fs.rename = () => {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => undefined);
  };
  syncBuiltinESMExports();
  const { nodeFiles } = await import(${JSON.stringify(new URL('./node-files.ts', import.meta.url).href)});
  await nodeFiles.write(process.argv[1], Buffer.from('new'));
`;
