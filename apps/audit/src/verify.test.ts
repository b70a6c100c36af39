import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256Hex } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditReport } from './report.ts';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { CSP_A, CSP_B, createFederation, type Federation } from './testing/federation.ts';
import { Telling } from './testing/telling.ts';
import { verify } from './verify.ts';

let federation: Federation;
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-test-'));
beforeAll(async () => {
  federation = await createFederation(dir);
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const check = (...files: readonly string[]) =>
  verify({ files, contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {} });

/** One VM there and back, another withdrawn. */
function story(): Telling {
  const telling = new Telling(federation);
  const vm = telling.intend(1);
  telling.play(vm);
  telling.intend(2, { vm, epoch: 2, source: CSP_B });
  telling.play(vm);
  return telling;
}

describe('ledgers that are in order', () => {
  it('both copies prove everything, and custody is told', async () => {
    const telling = story();
    const report = await check(writeLines(dir, 'a', exportLines(telling)), writeLines(dir, 'b', exportLines(telling, CSP_B)));
    expect(auditReport.parse(report)).toEqual(report);
    expect(report.violations).toEqual([]);
    expect(report.notices).toEqual([]);
    expect(report.verdict).toBe(`proven to head ${telling.a.envelopes.length}, ${telling.b.envelopes.length}`);
    expect(report.migrations.map(({ outcome, ended }) => [outcome, ended])).toEqual([
      ['retired', true],
      ['retired', true],
    ]);
    expect(report.migrations[0]?.custody.map(({ event, domains, suspended }) => [event, domains, suspended])).toEqual([
      ['MigrationIntended', [CSP_A], []],
      ['KeyReleased', [CSP_B], [CSP_A]],
      ['SourceRetired', [CSP_B], []],
    ]);
  });

  it('each line of custody says what changed, and where that stands', async () => {
    const telling = story();
    const { migrations } = await check(writeLines(dir, 'c', exportLines(telling)));
    const [first] = migrations;
    expect(first?.custody.map(({ event, gained, lost, destroyed }) => [event, gained, lost, destroyed])).toEqual([
      ['MigrationIntended', [CSP_A], [], []],
      ['KeyReleased', [CSP_B], [CSP_A], []],
      ['SourceRetired', [], [], [CSP_A]],
    ]);
    for (const { because, ledger, seq } of first?.custody ?? []) {
      expect(ledger).toEqual({ publisher: CSP_A, audience: CSP_B });
      expect(sha256Hex(telling.a.envelopes[seq - 1] ?? Buffer.of())).toBe(because);
    }
  });
});
