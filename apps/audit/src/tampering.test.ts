import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLOCK_SKEW_MS_MAX, type Draft, digest } from '@carnet/events';
import { createCrl, createRoot, freshRsaKeys, readCertificate, readPem, writePem } from '@carnet/pki';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditReport, auditReport } from './report.ts';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { BEGIN_MS, CSP_A, CSP_B, createFederation, eventKey, type Federation, leafOf, timeAt } from './testing/federation.ts';
import { type Alter, migrationOf, sealed, Telling } from './testing/telling.ts';
import { verify } from './verify.ts';

const UNWRITTEN = digest.parse('f'.repeat(64));

let federation: Federation;
let good: Telling;
let files = 0;
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-test-'));
beforeAll(async () => {
  federation = await createFederation(dir);
  good = tell();
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

function tell(alter?: Alter): Telling {
  const telling = new Telling(federation, alter);
  telling.play(telling.intend(1));
  return telling;
}

const check = (
  exports: readonly (readonly string[])[],
  root = join(dir, 'root.pem'),
  crls = join(dir, 'crls'),
): Promise<AuditReport> =>
  verify({
    files: exports.map((lines) => writeLines(dir, `export-${files++}`, lines)),
    contexts: [],
    root,
    crls,
    nowMs: EXPORTED_MS,
    environment: {},
  });

/** Lines of A's export with one change; line 0 is the header, line n is A's event n. */
function edited(change: (lines: string[]) => void): readonly string[] {
  const lines = exportLines(good);
  change(lines);
  return lines;
}
const envelopeLine = (bytes: Uint8Array): string =>
  JSON.stringify({ publisher: CSP_A, audience: CSP_B, envelope: Buffer.from(bytes).toString('base64') });
const flip = (bytes: Uint8Array, at: number): Uint8Array => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
const envelope = (n: number): Uint8Array => good.a.envelopes[n - 1] ?? new Uint8Array();
/** A's event n once more, with other content, rightly signed. */
function rewritten(n: number, word = CSP_A as string): Uint8Array {
  const payload = JSON.parse(Buffer.from(JSON.parse(Buffer.from(envelope(n)).toString()).payload, 'base64').toString()) as Draft;
  return sealed(
    { ...good.a, envelopes: good.a.envelopes.slice(0, n - 1) },
    { ...payload, id: migrationOf(9) } as unknown as Draft,
    BEGIN_MS,
    eventKey(word),
  );
}

describe('what was done to an export is named', () => {
  const rows: readonly (readonly [string, () => readonly (readonly string[])[], string, number])[] = [
    [
      'a byte of the envelope flipped',
      () => [edited((l) => l.splice(3, 1, envelopeLine(flip(envelope(3), 90))))],
      'SIGNATURE_INVALID',
      3,
    ],
    [
      'a byte of its JSON flipped',
      () => [edited((l) => l.splice(3, 1, envelopeLine(flip(envelope(3), 0))))],
      'ENVELOPE_MALFORMED',
      3,
    ],
    ['an event dropped', () => [edited((l) => l.splice(3, 1))], 'SEQUENCE_GAP', 3],
    ['two events swapped', () => [edited((l) => l.splice(3, 2, l[4] ?? '', l[3] ?? ''))], 'SEQUENCE_GAP', 3],
    ['an event twice', () => [edited((l) => l.splice(3, 0, l[3] ?? ''))], 'ENVELOPE_REPEATED', 4],
    [
      'signed again with another key',
      () => [edited((l) => l.splice(3, 1, envelopeLine(rewritten(3, 'stranger'))))],
      'KEY_NOT_ANNOUNCED',
      3,
    ],
    [
      'signed again by the publisher, what follows left alone',
      () => [edited((l) => l.splice(3, 1, envelopeLine(rewritten(3))))],
      'LEDGER_FORK',
      4,
    ],
    ['dropped in one copy of two', () => [exportLines(good), edited((l) => l.splice(3, 1))], 'SEQUENCE_GAP', 3],
    [
      'a fork between two exports',
      () => [exportLines(good, CSP_B), edited((l) => l.splice(3, 1, envelopeLine(rewritten(3))))],
      'LEDGER_FORK',
      3,
    ],
  ];
  it.each(rows)('%s', async (_, exports, code, seq) => {
    const report = await check(exports());
    expect(auditReport.parse(report)).toEqual(report);
    expect([report.verdict, report.divergence?.code, report.divergence?.ledger.publisher, report.divergence?.seq]).toEqual([
      'diverged',
      code,
      CSP_A,
      seq,
    ]);
    expect(report.divergence?.sources).toHaveLength(code === 'LEDGER_FORK' && exports().length > 1 ? 2 : 1);
  });

  it('a fork names both envelopes', async () => {
    const report = await check([exportLines(good, CSP_B), edited((l) => l.splice(3, 1, envelopeLine(rewritten(3))))]);
    expect(report.divergence).toMatchObject({
      expected: expect.stringMatching(/^[0-9a-f]{64}$/),
      got: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('the last events dropped, which the peer cites', async () => {
    const cut = (lines: readonly string[]) =>
      lines.filter(
        (line) =>
          line !== envelopeLine(envelope(good.a.envelopes.length - 1)) &&
          line !== envelopeLine(envelope(good.a.envelopes.length)),
      );
    const report = await check([cut(exportLines(good))]);
    expect([report.divergence?.code, report.divergence?.ledger.publisher]).toEqual(['CAUSE_UNKNOWN', CSP_B]);
  });

  it('the same while the export ran is an unsettled tail', async () => {
    const last = good.a.envelopes.length;
    const lines = exportLines(good, CSP_A, BEGIN_MS).filter(
      (line) => line !== envelopeLine(envelope(last - 1)) && line !== envelopeLine(envelope(last)),
    );
    const report = await check([lines]);
    expect([report.verdict, report.divergence]).toEqual(['unsettled tail', undefined]);
    expect(report.ledgers.map(({ note }) => note).join()).toContain('TAIL_IN_FLIGHT');
  });

  it.each([
    ['years ahead convicts', '2099-01-01T00:00:00.000Z', 'CAUSE_UNKNOWN'],
    ['further ahead than clocks differ convicts', timeAt(EXPORTED_MS + CLOCK_SKEW_MS_MAX + 1), 'CAUSE_UNKNOWN'],
    ['as far ahead as clocks differ may be in flight', timeAt(EXPORTED_MS + CLOCK_SKEW_MS_MAX), undefined],
  ] as const)('what nobody wrote, cited by an event dated %s', async (_, time, code) => {
    const telling = tell();
    const from = { type: 'AgreementAccepted', causes: [UNWRITTEN], data: { proposal: UNWRITTEN }, time } as const;
    telling.sign(telling.b, from);
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect([report.divergence?.code, report.ledgers.find(({ publisher }) => publisher === CSP_B)?.note?.split(':')[0]]).toEqual([
      code,
      code === undefined ? 'TAIL_IN_FLIGHT' : undefined,
    ]);
  });

  it.each([
    ['no end line', (l: readonly string[]) => l.slice(0, -1), 'EXPORT_TRUNCATED'],
    ['no header', (l: readonly string[]) => l.slice(1), 'EXPORT_MALFORMED'],
    ['something after the end', (l: readonly string[]) => [...l, l[3] ?? ''], 'EXPORT_MALFORMED'],
    [
      'an unknown member',
      (l: readonly string[]) => [l[0] ?? '', JSON.stringify({ ...JSON.parse(l[1] ?? ''), more: 1 }), ...l.slice(2)],
      'EXPORT_MALFORMED',
    ],
    ['a ledger in two pieces', (l: readonly string[]) => [...l.slice(0, -1), l[1] ?? '', l.at(-1) ?? ''], 'EXPORT_MALFORMED'],
    ['nothing', () => [], 'EXPORT_MALFORMED'],
    ['no events', (l: readonly string[]) => [l[0] ?? '', l.at(-1) ?? ''], 'EXPORT_EMPTY'],
  ] as const)('refused before anything is judged: %s', async (_, change, code) => {
    await expect(check([change(exportLines(good))])).rejects.toMatchObject({ name: 'AuditError', code });
  });

  it('cut inside a line', async () => {
    const path = writeLines(dir, 'cut', exportLines(good));
    const text = exportLines(good).join('\n');
    writeFileSync(path, text.slice(0, text.length - 60));
    await expect(
      verify({ files: [path], contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {} }),
    ).rejects.toMatchObject({ code: 'EXPORT_TRUNCATED' });
  });
});

describe('a shorter copy', () => {
  it('is an unsettled tail, and says how far both agree', async () => {
    const older = edited((l) => l.splice(l.length - 2, 1));
    const report = await check([older, exportLines(good, CSP_B)]);
    const ledger = report.ledgers.find(({ publisher }) => publisher === CSP_B);
    expect([report.verdict, report.divergence, ledger?.verdict]).toEqual(['unsettled tail', undefined, 'unsettled tail']);
    expect([ledger?.events, ledger?.settledSeq]).toEqual([good.b.envelopes.length, good.b.envelopes.length - 1]);
  });

  it('one CSP alone proves the peer’s ledger, and its own as far as the peer cites it', async () => {
    const report = await check([exportLines(good)]);
    expect(report.ledgers.map(({ publisher, verdict }) => [publisher, verdict])).toEqual([
      [CSP_A, 'unsettled tail'],
      [CSP_B, `proven to head ${good.b.envelopes.length}`],
    ]);
  });
});

describe('certificates', () => {
  it('another root proves nothing', async () => {
    const life = { notBeforeMs: BEGIN_MS - 3_600_000, notAfterMs: EXPORTED_MS + 3_600_000 };
    const other = createRoot({ ...life, name: 'Carnet federation root', keys: await freshRsaKeys(), random: randomBytes });
    writeFileSync(join(dir, 'other-root.pem'), writePem('CERTIFICATE', other.certificate));
    const report = await check([exportLines(good)], join(dir, 'other-root.pem'));
    expect([report.divergence?.code, report.divergence?.seq]).toEqual(['CERTIFICATE_PATH_REFUSED', 1]);
  }, 60_000);

  it.each([
    ['broker', 'before', -60_000, 'CERTIFICATE_PATH_REFUSED'],
    ['broker', 'after', 3_600_000, undefined],
    ['agent-host-1', 'before', -60_000, 'AGENT_REFUSED'],
    ['agent-host-1', 'after', 3_600_000, undefined],
    ['scheduler', 'before', -60_000, 'REQUEST_REFUSED'],
    ['scheduler', 'after', 3_600_000, undefined],
  ] as const)('of %s revoked %s it was used', async (name, when, afterMs, code) => {
    const crls = revoke(name, `${name}-${when}`, BEGIN_MS + afterMs);
    const report = await check([exportLines(good), exportLines(good, CSP_B)], undefined, crls);
    expect(report.divergence?.code).toBe(code);
  });

  it('a revocation list that is stale proves nothing', async () => {
    const lines = writeLines(dir, 'late', exportLines(good));
    const report = await verify({
      files: [lines],
      contexts: [],
      root: join(dir, 'root.pem'),
      nowMs: EXPORTED_MS + 60 * 86_400_000,
      environment: {},
    });
    expect(report.divergence?.text).toContain('CRL_STALE');
  });
});

/** The lists of the federation, with one certificate of A on A's list. */
function revoke(leaf: string, folder: string, atMs: number): string {
  const crls = join(dir, `crls-${folder}`);
  mkdirSync(crls);
  for (const name of ['root', CSP_B]) copyFileSync(join(dir, 'crls', `${name}.der`), join(crls, `${name}.der`));
  const member = federation.pki.members.get(CSP_A);
  const read = readCertificate(readPem(leafOf(federation, CSP_A, leaf).pem, 'CERTIFICATE')[0] ?? new Uint8Array());
  if (member === undefined || !read.ok) throw new Error('no such leaf');
  const revoked = [{ serial: read.value.serial, atMs, reason: 'keyCompromise' as const }];
  writeFileSync(
    join(crls, `${CSP_A}.der`),
    createCrl(member.authority, { number: 2, thisUpdateMs: BEGIN_MS, nextUpdateMs: EXPORTED_MS + 3_600_000, revoked }),
  );
  return crls;
}
