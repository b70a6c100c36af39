import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { PROGRAMS, type ProgramName } from '../setup/programs.mjs';
import { programOf } from './programs.ts';
import { repositoryRoot } from './tools.ts';

const names = Object.keys(PROGRAMS) as readonly ProgramName[];
const bare = mkdtempSync(join(tmpdir(), 'carnet-bare-'));
afterAll(() => rmSync(bare, { recursive: true }));

describe('a program', () => {
  it.each(names)('%s is started from the one file that set-up has built of it (if not: npm run build)', (name) => {
    expect(programOf(repositoryRoot, name)).toBe(join(repositoryRoot, 'dist', `${name}.js`));
  });

  it.each(names)('%s is started from its source where nothing was built', (name) => {
    expect(programOf(bare, name)).toBe(join(bare, PROGRAMS[name]));
  });

  it.each(['broker', 'agent', 'fence'] as const)('%s says the same from either', (name) => {
    const saidBy = (main: string): unknown => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [main, '--config', join(bare, 'none.toml')], {
        encoding: 'utf8',
      });
      return { status, stdout, stderr };
    };
    expect(saidBy(programOf(repositoryRoot, name))).toEqual(saidBy(join(repositoryRoot, PROGRAMS[name])));
  });
});
