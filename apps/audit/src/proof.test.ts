import { mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Draft, digest, epoch, PAYLOAD_TYPES, PROOF_BYTES_MAX } from '@carnet/events';
import { type Proof, proofFileOf, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proofVerdict } from './proof-verdict.ts';
import { EXPORTED_MS } from './testing/exports.ts';
import { BEGIN_MS, CSP_A, CSP_B, createFederation, eventKey, type Federation, timeAt } from './testing/federation.ts';
import { ran as runs } from './testing/ran.ts';
import { migrationOf, sealed, Telling } from './testing/telling.ts';

let federation: Federation;
let telling: Telling;
const dir = mkdtempSync(join(tmpdir(), 'carnet-proof-test-'));
beforeAll(async () => {
  federation = await createFederation(dir);
  telling = new Telling(federation);
  for (const n of [1, 2]) telling.sign(telling.a, refusal(n));
  telling.sign(telling.b, refusal(3));
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const refusal = (n: number, causes: Draft['causes'] = []): Draft => ({
  type: 'MigrationRefused',
  causes,
  migration: migrationOf(n),
  epoch: epoch.parse(1),
  data: { intent: digest.parse('ab'.repeat(32)), reasons: [{ code: 'NO_ROOM', text: 'no room' }] },
});
const NOWHERE = digest.parse('cd'.repeat(32));

/** What A signs after its first events: in the place of the one that follows them, or as the next. */
const next = (after: number, draft: Draft, signer: Signer = eventKey(CSP_A)): Uint8Array =>
  sealed({ ...telling.a, envelopes: telling.a.envelopes.slice(0, after) }, draft, BEGIN_MS + 60_000, signer);
const fork = (changed: Partial<Proof> = {}): Proof => ({
  accused: CSP_A,
  audience: CSP_B,
  code: 'LEDGER_FORK',
  statement: next(2, refusal(9)),
  accusedEvents: telling.a.envelopes,
  audienceEvents: [],
  ...changed,
});
const falseCause = (changed: Partial<Proof> = {}): Proof =>
  fork({
    code: 'CAUSE_UNKNOWN',
    statement: next(3, refusal(9, [NOWHERE])),
    accusedEvents: telling.a.envelopes.slice(0, 1),
    audienceEvents: telling.b.envelopes,
    acknowledgement: head(telling.b.envelopes.length),
    ...changed,
  });

/** A signs that it holds so many events of B. */
const head = (received: number): Uint8Array => {
  const at = { seq: String(received), digest: sha256Hex(telling.b.envelopes[received - 1] ?? new Uint8Array()) };
  const said = { kind: 'head', from: CSP_A, to: CSP_B, time: timeAt(BEGIN_MS), own: { seq: '4', digest: NOWHERE }, received: at };
  return signEnvelope(PAYLOAD_TYPES.peerMessage, Buffer.from(JSON.stringify(said)), eventKey(CSP_A));
};

let files = 0;
function written(proof: Proof): string {
  const path = join(dir, `proof-${files++}.json`);
  writeFileSync(path, JSON.stringify(proofFileOf(proof)));
  return path;
}
const ran = (path: string, ...options: readonly string[]) =>
  runs(['proof', path, ...options], { environment: { HOME: dir }, nowMs: () => EXPORTED_MS });
const root = () => ['--root', join(dir, 'root.pem')];

describe('0: convicted, in words for people', () => {
  it('by two events at one position', async () => {
    const { code, out } = await ran(written(fork()), ...root());
    expect(code).toBe(0);
    expect(out).toContain(sha256Hex(next(2, refusal(9))));
    expect(out.replaceAll(/[0-9a-f]{64}/g, 'DIGEST')).toMatchInlineSnapshot(`
      "verdict: csp-a.example is convicted (LEDGER_FORK)

      csp-a.example signed two events for position 3 of its ledger to csp-b.example:
        DIGEST
        DIGEST

      signed under its event key
        DIGEST
          introduced by the certificate of csp-a.example's broker at 2026-11-23T10:00:01.000Z
      statement DIGEST

      What csp-a.example can answer
        that it had ended this key, as stolen, before the position that is named: its KeyRevoked shows it

      judged as of 2026-11-24T10:00:00.000Z
      "
    `);
  });

  it('by a cause that never was', async () => {
    const { code, out } = await ran(written(falseCause()), ...root());
    expect(code).toBe(0);
    expect(out).toContain(NOWHERE);
    expect(out.replaceAll(/[0-9a-f]{64}/g, 'DIGEST')).toMatchInlineSnapshot(`
      "verdict: csp-a.example is convicted (CAUSE_UNKNOWN)

      csp-a.example signed at position 4 of its ledger to csp-b.example that it relies on an event of csp-b.example:
        DIGEST
      There is none such among the 2 events of the ledger that csp-b.example signed to it, shown from its beginning; and csp-a.example signed,
      after that event, how far it holds that ledger: no further than is shown.

      signed under its event key
        DIGEST
          introduced by the certificate of csp-a.example's broker at 2026-11-23T10:00:01.000Z
      statement DIGEST

      What csp-a.example can answer
        that it had ended this key, as stolen, before the position that is named: its KeyRevoked shows it
        the event that it cited, signed by csp-b.example: then it is csp-b.example that hid it, and a restored database of csp-a.example that forgot it

      judged as of 2026-11-24T10:00:00.000Z
      "
    `);
  });

  it('by an event that follows another than it signed', async () => {
    const { envelopes } = telling.a;
    const other = { ...telling.a, envelopes: [...envelopes.slice(0, 2), next(2, refusal(9))] };
    const statement = sealed(other, refusal(8), BEGIN_MS + 90_000, eventKey(CSP_A));
    const { code, out } = await ran(written(fork({ statement })), ...root());
    expect([code, out]).toEqual([0, expect.stringContaining('in the next one that another stands there')]);
  });

  it('as JSON by the schema', async () => {
    const { code, out } = await ran(written(fork()), ...root(), '--json');
    expect([code, proofVerdict.parse(JSON.parse(out))]).toMatchObject([
      0,
      { convinces: true, accused: CSP_A, contradiction: { kind: 'two-events', seq: '3' } },
    ]);
  });
});

describe('3: nobody is convicted', () => {
  it('by a forged event: says which check failed, and what to do', async () => {
    const { code, out } = await ran(written(fork({ statement: next(2, refusal(9), eventKey('somebody')) })), ...root());
    expect(code).toBe(3);
    expect(out.replaceAll(/[0-9a-f]{64}/g, 'DIGEST')).toMatchInlineSnapshot(`
      "verdict: this proves nothing against csp-a.example

        PROOF_KEY_UNVOUCHED  Nothing in the proof ties the signing key to a certificate of that CSP.
            expected what introduced a key of csp-a.example
            got      DIGEST
        The text names the check that failed. If it is a revocation list, bring one of today; else the proof is worth nothing.

      judged as of 2026-11-24T10:00:00.000Z
      "
    `);
  });

  it.each<readonly [string, string, () => Proof]>([
    ['an event against itself', 'PROOF_NO_CONTRADICTION', () => fork({ statement: telling.a.envelopes[2] ?? new Uint8Array() })],
    ['events of the other side', 'PROOF_KEY_UNVOUCHED', () => fork({ accusedEvents: telling.b.envelopes })],
    [
      'a cause that the audience did say',
      'PROOF_NO_CONTRADICTION',
      () => falseCause({ statement: next(3, refusal(9, [sha256Hex(telling.b.envelopes[1] ?? new Uint8Array())])) }),
    ],
    [
      'a cause of which only the audience says where its ledger ends',
      'PROOF_UNACKNOWLEDGED',
      () => {
        const { acknowledgement: _, ...proof } = falseCause();
        return proof;
      },
    ],
    [
      'a cause that the audience cut off',
      'PROOF_LEDGER_DISPUTED',
      () => falseCause({ audienceEvents: telling.b.envelopes.slice(0, 1) }),
    ],
    ['a cause against half a ledger', 'PROOF_INCOMPLETE', () => falseCause({ audienceEvents: telling.b.envelopes.slice(1) })],
  ])('by %s: %s', async (_, reason, proof) => {
    expect(await ran(written(proof()), ...root())).toMatchObject({ code: 3, out: expect.stringContaining(reason), err: '' });
  });

  it('by a key that was introduced after its certificate had ended', async () => {
    const late = new Telling(federation);
    late.rest(3_650 * 86_400_000);
    late.announce(late.a, CSP_A);
    const [, introduced = new Uint8Array()] = late.a.envelopes;
    const proof = fork({ accusedEvents: [introduced, ...telling.a.envelopes.slice(1)] });
    const { code, out } = await ran(written(proof), ...root(), '--as-of', '2046-11-24T10:00:00.000Z', '--json');
    expect([code, JSON.parse(out)]).toMatchObject([
      3,
      { refusal: { code: 'PROOF_KEY_UNVOUCHED', text: expect.stringMatching(/EXPIRED/) } },
    ]);
  });

  it('by a file that was cut off, and by one that is too large', async () => {
    const path = written(fork());
    const text = readFileSync(path);
    writeFileSync(path, text.subarray(0, text.length - 9));
    const short = await ran(path, ...root(), '--json');
    expect([short.code, proofVerdict.parse(JSON.parse(short.out))]).toMatchObject([3, { refusal: { code: 'PROOF_MALFORMED' } }]);
    truncateSync(path, PROOF_BYTES_MAX + 1);
    expect(await ran(path, ...root())).toMatchObject({ code: 3, out: expect.stringContaining('PROOF_TOO_LARGE') });
  });
});

describe('no verdict', () => {
  it('2: without a root, or with nonsense for a time', async () => {
    const path = written(fork());
    expect(await ran(path)).toMatchObject({ code: 2, err: expect.stringContaining('--root') });
    expect(await ran(path, ...root(), '--as-of', 'yesterday')).toMatchObject({ code: 2, out: '' });
  });
  it('1: no such file, or no such root', async () => {
    const unreadable = { code: 1, err: expect.stringContaining('FILE_UNREADABLE') };
    expect(await ran(join(dir, 'nowhere.json'), ...root())).toMatchObject(unreadable);
    expect(await ran(written(fork()), '--root', join(dir, 'nowhere.pem'))).toMatchObject(unreadable);
  });
  it('0: help says all', async () => {
    const { code, out } = await ran('--help');
    expect([code, out.includes('--crls'), out.includes('3 verification failed')]).toEqual([0, true, true]);
  });
});
