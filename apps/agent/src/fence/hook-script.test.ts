import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { METADATA_NAMESPACE } from '@carnet/hypervisor';
import { afterAll, describe, expect, it } from 'vitest';
import { hookScript } from './hook-script.ts';
import { hookFile, installHook, isHookInstalled } from './install.ts';

const root = mkdtempSync(join(tmpdir(), "carnet-hook's "));
afterAll(() => rmSync(root, { recursive: true }));

/** A program that says it was asked, and ends with a code; paths with a quote and a space in them. */
function scriptOver(
  ends: number,
): (operation: string, xml: string) => { readonly status: number | null; readonly asked: string; readonly said: string } {
  const [program, asked, script] = ['program', 'asked', 'script'].map((name) => join(root, `${name} ${ends}`)) as [
    string,
    string,
    string,
  ];
  writeFileSync(program, `#!/bin/sh\necho "$@" >> "${asked}"\ncat >> "${asked}"\necho to stdout\necho said >&2\nexit ${ends}\n`);
  writeFileSync(
    script,
    hookScript({ node: '/bin/sh', main: program, config: "/etc/it's" }).replace(" '--disable-warning=ExperimentalWarning'", ''),
  );
  return (operation, xml) => {
    writeFileSync(asked, '');
    const run = spawnSync('/bin/sh', [script, 'a vm', operation, 'begin', '-'], { input: xml, encoding: 'utf8' });
    expect(run.stdout).toBe('');
    return { status: run.status, asked: readFileSync(asked, 'utf8'), said: run.stderr };
  };
}
const MARKED = `<domain><vm xmlns="${METADATA_NAMESPACE}"/></domain>`;
const PLAIN = '<domain/>';

describe('the script', () => {
  it('asks the program, with the XML, and passes on what it says', () => {
    expect(scriptOver(0)('start', PLAIN)).toEqual({
      status: 0,
      asked: `decide --config /etc/it's -- a vm start\n${PLAIN}\n`,
      said: 'said\n',
    });
    expect(scriptOver(5)('prepare', PLAIN)).toMatchObject({ status: 1, said: 'said\n' });
    expect(scriptOver(5)('reconnect', PLAIN)).toMatchObject({ status: 1 });
  });

  it('asks nobody about what makes no VM run', () => {
    for (const operation of ['restore', 'migrate', 'started', 'stopped', 'release', ''])
      expect(scriptOver(5)(operation, MARKED)).toEqual({ status: 0, asked: '', said: '' });
  });

  it.each([1, 124, 127, 139])('over a program that ends with %i it refuses who bears our mark, and ends no guest', (ends) => {
    expect(scriptOver(ends)('start', MARKED)).toMatchObject({ status: 1, said: expect.stringContaining('(FENCE_UNREADABLE)') });
    expect(scriptOver(ends)('start', PLAIN)).toMatchObject({ status: 0 });
    expect(scriptOver(ends)('reconnect', MARKED)).toMatchObject({ status: 0 });
  });
});

describe('installing it', () => {
  const program = { node: '/n', main: '/m', config: '/c' };

  it('is safe to repeat, repairs what is ours, and leaves other hooks alone', () => {
    const hooks = join(root, 'hooks');
    mkdirSync(hooks);
    writeFileSync(join(hooks, 'qemu'), '#!/bin/sh\n', { mode: 0o755 });
    expect(isHookInstalled(hooks)).toBe(false);
    expect([installHook(hooks, program), installHook(hooks, program)]).toEqual(['installed', 'unchanged']);
    expect(isHookInstalled(hooks)).toBe(true);
    expect(installHook(hooks, { ...program, config: '/d' })).toBe('installed');
    chmodSync(hookFile(hooks), 0o644);
    expect(isHookInstalled(hooks)).toBe(false);
    expect(installHook(hooks, { ...program, config: '/d' })).toBe('installed');
    expect([readdirSync(hooks), readdirSync(join(hooks, 'qemu.d'))]).toEqual([['qemu', 'qemu.d'], ['10-carnet-fence']]);
    expect(readFileSync(join(hooks, 'qemu'), 'utf8')).toBe('#!/bin/sh\n');
  });

  it('never overwrites what somebody else wrote', () => {
    const hooks = join(root, 'taken');
    mkdirSync(join(hooks, 'qemu.d'), { recursive: true });
    writeFileSync(hookFile(hooks), '#!/bin/sh\necho mine\n', { mode: 0o755 });
    expect(installHook(hooks, program)).toBe('taken');
    expect(isHookInstalled(hooks)).toBe(false);
    expect(readFileSync(hookFile(hooks), 'utf8')).toContain('mine');
  });
});
