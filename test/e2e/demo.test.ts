import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Emulated guests on a busy machine: what takes a minute alone may take four beside other tests. */
const DEMO_MS_MAX = 300_000;

type Act = {
  readonly name: string;
  readonly outcome: string;
  readonly endState: { readonly source: string; readonly target: string };
  readonly guest: {
    readonly before: { readonly boot: string; readonly n: number };
    readonly after: { readonly boot: string; readonly n: number };
    readonly foundOnDisk?: { readonly boot: string };
  };
  readonly stopMs: number;
  readonly bytesSent: number;
  readonly events: number;
  readonly claims: readonly { readonly text: string; readonly holds: boolean }[];
};
type Report = {
  readonly passed: boolean;
  readonly migrations: readonly Act[];
  readonly audit: { readonly verdict: string; readonly migrations: readonly { readonly outcome: string }[] };
};

const directory = mkdtempSync(join(tmpdir(), 'carnet-demo-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** What a newcomer runs, but for the set-up, which has been done to run this test. */
async function runDemo(args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(process.execPath, [join(repositoryRoot, 'infra/dev/src/demo.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  return { code: child.exitCode, output };
}

describe('npm run demo', () => {
  let ran: { readonly code: number | null; readonly output: string };
  let report: Report;
  const act = (name: string): Act => {
    const found = report.migrations.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no act ${name} in the report`);
    return found;
  };
  beforeAll(async () => {
    const file = join(directory, 'report.json');
    ran = await runDemo(['--report', file]);
    if (ran.code !== 0) throw new Error(`the demo ended with ${ran.code}:\n${ran.output}`);
    report = JSON.parse(readFileSync(file, 'utf8'));
  }, DEMO_MS_MAX);

  it('holds every claim that it makes', () => {
    expect(report.migrations.flatMap(({ claims }) => claims.filter(({ holds }) => !holds))).toEqual([]);
    expect(report.passed).toBe(true);
    expect(ran.output).toMatch(/nothing is left behind/);
  });

  it('moves the guest cold: a new boot finds the marker of the old one on its disk', () => {
    const { outcome, guest, bytesSent } = act('cold');
    expect(outcome).toBe('done');
    expect(guest.after.boot).not.toBe(guest.before.boot);
    expect(guest.foundOnDisk?.boot).toBe(guest.before.boot);
    expect(bytesSent).toBeGreaterThan(0);
  });

  it('moves the guest suspended: it goes on counting in the same boot', () => {
    const { outcome, guest, endState } = act('suspend');
    expect(outcome).toBe('done');
    expect(endState).toEqual({ source: 'retired', target: 'retired' });
    expect(guest.after.boot).toBe(guest.before.boot);
    expect(guest.after.n).toBeGreaterThan(guest.before.n);
  });

  it('rolls back when the volume does not open at the target: the guest goes on where it was', () => {
    const { outcome, guest } = act('failure after arrival');
    expect(outcome).toBe('rolled-back');
    expect(guest.after.boot).toBe(guest.before.boot);
    expect(guest.after.n).toBeGreaterThan(guest.before.n);
  });

  it('is found in order by the auditor', () => {
    expect(report.audit.verdict).toMatch(/^proven/);
    expect(report.audit.migrations).toHaveLength(3);
  });
});

describe('its command line', () => {
  it('explains itself', async () => {
    const { code, output } = await runDemo(['--help']);
    expect(code).toBe(0);
    expect(output).toMatch(/--keep[\s\S]*--report FILE/);
  });
  it('refuses what it does not know', async () => {
    const { code, output } = await runDemo(['--kepe']);
    expect(code).toBe(2);
    expect(output).toMatch(/kepe[\s\S]*usage/);
  });
});
