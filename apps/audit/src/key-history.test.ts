import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dsseEnvelope, GENESIS, keyId, PAYLOAD_TYPES } from '@carnet/events';
import { chainedLine, type ExportedLine, lineDigest } from '@carnet/keys';
import { signEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditReport } from './report.ts';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { BEGIN_MS, CSP_A, createFederation, eventKey, timeAt } from './testing/federation.ts';
import { migrationOf, Telling } from './testing/telling.ts';
import { verify } from './verify.ts';

const KEY = keyId.parse('4b4e28ba-2fa1-41d2-883f-0016d3cca427');
const OTHER = keyId.parse('5b4e28ba-2fa1-41d2-883f-0016d3cca427');
const LOST = timeAt(BEGIN_MS + 60_000);
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-test-'));
let telling: Telling;
let files = 0;
beforeAll(async () => {
  telling = new Telling(await createFederation(dir));
  telling.play(telling.intend(1));
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

type Step = {
  readonly key?: string;
  readonly from: string | null;
  readonly to: string;
  readonly by?: string;
  readonly over?: object;
};
/** A history as the key manager writes it. `by`: the word of the event key that signs; `over`: what was signed in place of the line. */
function history(steps: readonly Step[]): readonly ExportedLine[] {
  const lines: ExportedLine[] = [];
  for (const { key = KEY, from, to, by, over = {} } of steps) {
    const before = lines.filter((line) => line.key === key);
    const said = {
      key: keyId.parse(key),
      version: 1,
      arrival: 0,
      position: before.length + 1,
      from_state: from,
      to_state: to,
      at: LOST,
      actor: by === undefined ? `spiffe://${CSP_A}/broker` : `spiffe://${CSP_A}/operator/eve`,
      reason: 'laptop stolen',
      cause: null,
      prev: before.at(-1)?.digest ?? GENESIS,
    };
    const payload = Buffer.from(JSON.stringify({ ...said, ...over }));
    const signature =
      by === undefined
        ? null
        : dsseEnvelope.parse(
            JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.keyChange, payload, eventKey(by))).toString('utf8')),
          );
    lines.push(chainedLine.parse({ ...said, digest: lineDigest(said), signature }));
  }
  return lines;
}
const BORN: readonly Step[] = [
  { from: null, to: 'pre-activation' },
  { from: 'pre-activation', to: 'active' },
];
const GOOD: readonly Step[] = [
  ...BORN,
  { from: 'active', to: 'compromised', by: CSP_A },
  { key: OTHER, from: null, to: 'active' },
];

async function check(lines: readonly ExportedLine[], told: Pick<Telling, 'a' | 'b'> = telling) {
  const all = exportLines(told);
  const shown = [...all.slice(0, -1), ...lines.map((keyHistory) => JSON.stringify({ keyHistory })), ...all.slice(-1)];
  const paths = [writeLines(dir, `export-${files++}`, shown)];
  return verify({ files: paths, contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {} });
}
const changed = (n: number, over: object): readonly ExportedLine[] =>
  history(GOOD).map((line, i) => (i === n ? chainedLine.parse({ ...line, ...over }) : line));

describe('the history of a CSP’s own keys', () => {
  it('verifies: of keys that nobody else ever held, too', async () => {
    const report = await check(history(GOOD));
    expect(auditReport.parse(report)).toEqual(report);
    expect([report.violations, report.keyHistories]).toMatchObject([[], [{ csp: CSP_A, keys: 2, lines: 4, signed: 1 }]]);
    expect(report.verdict).not.toBe('diverged');
  });

  it.each<[string, () => readonly ExportedLine[], string]>([
    ['another reason', () => changed(2, { reason: 'nothing' }), 'KEY_HISTORY_BROKEN'],
    [
      'another actor, its digest made anew',
      () =>
        history(
          GOOD.with(2, { from: 'active', to: 'compromised', by: CSP_A, over: { actor: 'spiffe://csp-a.example/operator/olga' } }),
        ),
      'KEY_HISTORY_SIGNATURE',
    ],
    ['a line left out', () => history(GOOD).toSpliced(1, 1), 'KEY_HISTORY_BROKEN'],
    ['lines in another order', () => [1, 0, 2, 3].flatMap((n) => history(GOOD)[n] ?? []), 'KEY_HISTORY_BROKEN'],
    ['the beginning cut off', () => history(GOOD).slice(1), 'KEY_HISTORY_BROKEN'],
    [
      'a key that came back from destruction',
      () =>
        history([
          { from: null, to: 'destroyed' },
          { from: 'destroyed', to: 'active' },
        ]),
      'KEY_HISTORY_BROKEN',
    ],
    [
      'a step from a state that it was not in',
      () => history([...BORN, { from: 'suspended', to: 'active' }]),
      'KEY_HISTORY_BROKEN',
    ],
    [
      'signed by a stranger',
      () => history(GOOD.with(2, { from: 'active', to: 'compromised', by: 'a stranger' })),
      'KEY_HISTORY_SIGNATURE',
    ],
    ['a compromise that nobody signed', () => history([...BORN, { from: 'active', to: 'compromised' }]), 'KEY_HISTORY_UNSIGNED'],
    ['a key in two pieces', () => [0, 3, 1, 2].flatMap((n) => history(GOOD)[n] ?? []), 'KEY_HISTORY_BROKEN'],
  ])('is a violation: %s', async (_name, lines, code) => {
    const report = await check(lines());
    expect(auditReport.parse(report)).toEqual(report);
    expect(report).toMatchObject({ verdict: 'diverged', divergence: { code, ledger: { publisher: CSP_A, audience: CSP_A } } });
  });

  it('holds what peers were told', async () => {
    const lying = new Telling(telling.federation);
    lying.play(lying.intend(1));
    const data = { key: KEY, version: 1, migration: migrationOf(1), from: 'active', to: 'compromised', at: LOST } as const;
    lying.sign(lying.a, { type: 'KeyStateChanged', causes: [], data: { ...data, reason: 'key-compromise' } });
    expect((await check(history(GOOD), lying)).violations).toEqual([]);
    const seq = lying.a.envelopes.length;
    expect((await check(history(BORN), lying)).violations).toMatchObject([
      { code: 'KEY_HISTORY_DIFFERS', seq, ledger: { publisher: CSP_A } },
    ]);
  });

  it('lies after the ledgers: an envelope behind it is no export', async () => {
    const [, envelope = ''] = exportLines(telling);
    const [header = '', ...rest] = exportLines(telling);
    const line = JSON.stringify({ keyHistory: history(BORN)[0] });
    const path = writeLines(dir, `export-${files++}`, [header, line, envelope, ...rest]);
    await expect(
      verify({ files: [path], contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {} }),
    ).rejects.toMatchObject({ code: 'EXPORT_MALFORMED' });
  });

  it('of two exports must be one', async () => {
    const rewritten = history(GOOD.with(1, { from: 'pre-activation', to: 'destroyed' }).slice(0, 2));
    const all = exportLines(telling);
    const write = (lines: readonly ExportedLine[]) =>
      writeLines(dir, `export-${files++}`, [
        ...all.slice(0, -1),
        ...lines.map((keyHistory) => JSON.stringify({ keyHistory })),
        ...all.slice(-1),
      ]);
    const both = (lines: readonly ExportedLine[]) =>
      verify({
        files: [write(history(GOOD)), write(lines)],
        contexts: [],
        root: join(dir, 'root.pem'),
        nowMs: EXPORTED_MS,
        environment: {},
      });
    expect((await both(history(GOOD).slice(0, 2))).violations).toEqual([]);
    expect((await both(rewritten)).violations).toMatchObject([{ code: 'KEY_HISTORY_DIFFERS' }]);
  });
});
