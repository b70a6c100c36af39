import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrustDomain } from '@carnet/events';
import { appendLeaf, cosignCheckpoint, emptyTree, eventLeaf, signCheckpoint } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { CSP_A, CSP_B, createFederation, eventKey, type Federation } from './testing/federation.ts';
import { Telling } from './testing/telling.ts';
import { verify } from './verify.ts';

const LEDGER = { publisher: CSP_A, audience: CSP_B };
let federation: Federation;
let telling: Telling;
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-test-'));
beforeAll(async () => {
  federation = await createFederation(dir);
  telling = new Telling(federation);
  telling.play(telling.intend(1));
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

type Signing = {
  readonly by?: string;
  readonly witness?: string | undefined;
  readonly atMs?: number;
  readonly envelopes?: readonly Uint8Array[];
};
/** A's checkpoint of its first `size` events to B, cosigned by B. */
function noteOf(
  size: number,
  { by = CSP_A, witness = CSP_B, atMs = EXPORTED_MS - 60_000, envelopes = telling.a.envelopes }: Signing = {},
) {
  const tree = envelopes.slice(0, size).map(eventLeaf).reduce(appendLeaf, emptyTree);
  const note = signCheckpoint(LEDGER, tree, eventKey(by as TrustDomain));
  return cosignCheckpoint(note, LEDGER, eventKey(witness as TrustDomain), Math.floor(atMs / 1_000));
}
let files = 0;
const fileOf = (note: Uint8Array): string => {
  const path = join(dir, `note-${files++}`);
  writeFileSync(path, note);
  return path;
};
/** One export by A, which shows `shown` of the ledger; in it, or beside it, a checkpoint. */
async function check({
  shown = telling.a.envelopes,
  inside = [],
  kept = [],
}: {
  readonly shown?: readonly Uint8Array[];
  readonly inside?: readonly Uint8Array[];
  readonly kept?: readonly Uint8Array[];
}) {
  const lines = exportLines({ a: { ...telling.a, envelopes: [...shown] }, b: telling.b });
  const notes = inside.map((note) => JSON.stringify({ checkpoint: Buffer.from(note).toString('utf8') }));
  const file = writeLines(dir, `export-${files++}`, [...lines.slice(0, -1), ...notes, ...lines.slice(-1)]);
  const report = await verify({
    files: [file],
    contexts: [],
    checkpoints: kept.map(fileOf),
    root: join(dir, 'root.pem'),
    nowMs: EXPORTED_MS,
    environment: {},
  });
  const ledger = report.ledgers.find(({ publisher }) => publisher === CSP_A);
  return { report, ledger, codes: [...report.violations, ...report.notices].map(({ code }) => code) };
}
const all = () => telling.a.envelopes.length;

describe('a checkpoint that both CSPs signed', () => {
  it('proves from one export alone that both hold the ledger', async () => {
    expect((await check({})).ledger?.verdict).toBe('unsettled tail');
    const { ledger, codes } = await check({ inside: [noteOf(all())] });
    expect(codes).toEqual([]);
    expect(ledger).toMatchObject({ verdict: `proven to head ${all()}`, cosigned: { events: all() } });
  });

  it('of an earlier position settles as far as it goes', async () => {
    const { ledger } = await check({ inside: [noteOf(all() - 1)] });
    expect(ledger).toMatchObject({ verdict: 'unsettled tail', settledSeq: all() - 1, cosigned: { events: all() - 1 } });
  });

  it('that was kept convicts an export whose end was cut off', async () => {
    const { report, codes } = await check({ shown: telling.a.envelopes.slice(0, -1), kept: [noteOf(all())] });
    expect(codes).toContain('CHECKPOINT_TRUNCATED');
    expect(report.verdict).toBe('diverged');
  });

  it('convicts another past, even if all envelopes of it are sound', async () => {
    const other = new Telling(federation);
    other.play(other.intend(7));
    const { codes } = await check({ kept: [noteOf(5, { envelopes: other.a.envelopes })] });
    expect(codes).toEqual(['CHECKPOINT_DIFFERS']);
  });

  it('that is younger than the export says nothing against it', async () => {
    const young = noteOf(all(), { atMs: EXPORTED_MS + 60_000 });
    const { codes } = await check({ shown: telling.a.envelopes.slice(0, -1), kept: [young] });
    expect(codes).not.toContain('CHECKPOINT_TRUNCATED');
    expect(codes).toContain('CHECKPOINT_NEWER');
  });
});

describe('a note that proves nothing is named, and changes no verdict', () => {
  it.each<[string, () => Uint8Array]>([
    ['of a stranger as publisher', () => noteOf(all(), { by: 'csp-c.example' })],
    ['that is none', () => Buffer.from('hello')],
    ['without a signature', () => noteOf(all()).slice(0, 60)],
  ])('%s', async (_, note) => {
    const { codes, report } = await check({ kept: [note()] });
    expect(codes).toEqual(['CHECKPOINT_UNVERIFIED']);
    expect(report.violations).toEqual([]);
  });

  it('a stranger as witness settles nothing', async () => {
    const { ledger, codes } = await check({ inside: [noteOf(all(), { witness: 'csp-c.example' })] });
    expect([codes, ledger?.verdict]).toEqual([[], 'unsettled tail']);
  });
});
