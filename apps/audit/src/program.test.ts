import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditReport } from './report.ts';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { CSP_B, createFederation, type Federation } from './testing/federation.ts';
import { ran as runs } from './testing/ran.ts';
import { Telling } from './testing/telling.ts';

let federation: Federation;
let a = '';
let b = '';
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-test-'));
beforeAll(async () => {
  federation = await createFederation(dir);
  const telling = new Telling(federation);
  telling.play(telling.intend(1));
  [a, b] = [writeLines(dir, 'a.jsonl', exportLines(telling)), writeLines(dir, 'b.jsonl', exportLines(telling, CSP_B))];
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const ran = (...args: readonly string[]) => runs(args, { environment: { HOME: dir }, nowMs: () => EXPORTED_MS });
const root = () => ['--root', join(dir, 'root.pem')];

describe('exit codes', () => {
  it('0: verified; the report says what, and who could open what', async () => {
    const { code, out } = await ran('verify', a, b, ...root());
    expect(code).toBe(0);
    expect(out.replaceAll(dir, 'DIR').replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID')).toMatchInlineSnapshot(`
      "verdict: proven to head 9, 12

      ledgers
        csp-a.example → csp-b.example  proven to head 9
          9 events verified; shown: 9 in DIR/a.jsonl, 9 in DIR/b.jsonl
        csp-b.example → csp-a.example  proven to head 12
          12 events verified; shown: 12 in DIR/a.jsonl, 12 in DIR/b.jsonl

      migrations, and who could open the image
        ID  cold  csp-a.example → csp-b.example  retired
          vm csp-a.example/ID, epoch 1; asked by spiffe://csp-a.example/scheduler (signature)
          2026-11-23T10:00:04.000Z  before the move csp-a.example holds the key
                                    now only csp-a.example can open it
                                    (MigrationIntended, signed by csp-a.example, position 3 in its ledger to csp-b.example)
          2026-11-23T10:00:14.000Z  csp-b.example gains: it can open the image from here on
                                    csp-a.example loses: it keeps the key and has bound itself not to use it
                                    now only csp-b.example can open it
                                    (KeyReleased, signed by csp-a.example, position 8 in its ledger to csp-b.example)
          2026-11-23T10:00:21.000Z  csp-a.example destroyed the key that it had kept
                                    now only csp-b.example can open it
                                    (SourceRetired, signed by csp-a.example, position 9 in its ledger to csp-b.example)

      decisions of policy
        csp-a.example  1 quoted, 0 made again alike
        csp-b.example  1 quoted, 0 made again alike

      judged as of 2026-11-24T10:00:00.000Z
      "
    `);
  });
  it('0 with a note: one side only', async () => {
    const { code, out } = await ran('verify', a, ...root());
    expect([code, out.includes('both CSPs are known to hold it to')]).toEqual([0, true]);
  });
  it('0: JSON by the schema', async () => {
    const { code, out } = await ran('verify', a, b, ...root(), '--json');
    expect([code, auditReport.parse(JSON.parse(out)).violations]).toEqual([0, []]);
  });
  it('3: a divergence, and a truncated export', async () => {
    const lines = readFileSync(b, 'utf8').split('\n');
    const short = writeLines(dir, 'short.jsonl', lines.slice(0, -2));
    const dropped = writeLines(
      dir,
      'dropped.jsonl',
      lines.filter((line, i) => i !== 3 && line !== ''),
    );
    expect(await ran('verify', short, ...root())).toMatchObject({
      code: 3,
      out: '',
      err: expect.stringContaining('EXPORT_TRUNCATED'),
    });
    expect(await ran('verify', dropped, ...root())).toMatchObject({ code: 3, out: expect.stringContaining('SEQUENCE_GAP') });
  });
  it('2: usage', async () => {
    expect(await ran('verify', a)).toMatchObject({ code: 2, err: expect.stringContaining('--root') });
    expect(await ran('verify')).toMatchObject({ code: 2 });
    expect(await ran('verify', a, ...root(), '--as-of', 'yesterday')).toMatchObject({ code: 2 });
    expect(await ran('verify', '--context', 'nobody')).toMatchObject({
      code: 2,
      err: expect.stringContaining('CONTEXT_MISSING'),
    });
    expect(await ran('explode')).toMatchObject({ code: 2 });
  });
  it('1: no root, no file, no broker', async () => {
    expect(await ran('verify', a, '--root', join(dir, 'nowhere.pem'))).toMatchObject({
      code: 1,
      err: expect.stringContaining('FILE_UNREADABLE'),
    });
    expect(await ran('verify', join(dir, 'nowhere.jsonl'), ...root())).toMatchObject({
      code: 1,
      err: expect.stringContaining('FILE_UNREADABLE'),
    });
    writeFileSync(
      join(dir, 'gone.toml'),
      'url = "https://127.0.0.1:1"\nserverName = "broker.csp-a.example"\nrootFile = "root.pem"\ntokenFile = "root.pem"\n',
    );
    expect(await ran('verify', '--context', join(dir, 'gone.toml'))).toMatchObject({
      code: 1,
      err: expect.stringContaining('BROKER_FAILED'),
    });
  });
  it('0: help says all', async () => {
    const { code, out } = await ran('verify', '--help');
    expect([code, out.includes('--crls'), out.includes('3 verification failed'), out.includes('unsettled tail')]).toEqual([
      0,
      true,
      true,
      true,
    ]);
  });
});
