import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGREEMENT_EVENTS_MAX, type AgreementTerms, agreementTerms, type Digest, type Draft } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { BEGIN_MS, CSP_B, createFederation, type Federation, timeAt } from './testing/federation.ts';
import { Telling } from './testing/telling.ts';
import { verify } from './verify.ts';

let federation: Federation;
let files = 0;
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-agreements-'));
beforeAll(async () => {
  federation = await createFederation(dir);
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const HOUR_MS = 3_600_000;
const termsOf = (version: number, more: Partial<AgreementTerms> = {}): AgreementTerms =>
  agreementTerms.parse({
    version,
    modes: ['cold'],
    algorithms: ['x25519-ml-kem-768'],
    retentionDays: 365,
    jurisdictions: ['DE'],
    rollbackWindowSecondsMax: 300,
    notBefore: timeAt(BEGIN_MS),
    notAfter: timeAt(BEGIN_MS + 24 * HOUR_MS),
    ...more,
  });

function agree(telling: Telling, terms: AgreementTerms): Digest {
  const proposal = telling.sign(telling.a, { type: 'AgreementProposed', causes: [], data: { terms } });
  return telling.sign(telling.b, { type: 'AgreementAccepted', causes: [proposal], data: { proposal } });
}
const move = (telling: Telling, n: number): void => telling.play(telling.intend(n));

/** What the auditor says of two CSPs that did this. */
async function violationsOf(tell: (telling: Telling) => void): Promise<readonly (readonly string[])[]> {
  const telling = new Telling(federation);
  tell(telling);
  const paths = [exportLines(telling), exportLines(telling, CSP_B)].map((lines) => writeLines(dir, `export-${files++}`, lines));
  const report = await verify({ files: paths, contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {} });
  return report.violations.map(({ code, text, ledger }) => [code, ledger?.publisher ?? '', text.split(' ')[0] ?? '']);
}
/** The mode of these moves, and the KEM of their offers. */
const NOT_MODE: Partial<AgreementTerms> = { modes: ['suspend'] };
const NOT_KEM: Partial<AgreementTerms> = { algorithms: ['dhkem-p256'] };

describe('terms that two CSPs signed', () => {
  it('allow what is within them', async () => {
    expect(
      await violationsOf((telling) => {
        agree(telling, termsOf(1));
        telling.rest(HOUR_MS);
        move(telling, 1);
      }),
    ).toEqual([]);
  });

  it('are broken by the target that offers another algorithm, and by it alone', async () => {
    expect(
      await violationsOf((telling) => {
        agree(telling, termsOf(1, NOT_KEM));
        telling.rest(HOUR_MS);
        move(telling, 1);
      }),
    ).toEqual([['ALGORITHM_NOT_AGREED', CSP_B, 'MigrationOffered']]);
  });

  it.each([
    ['another mode', NOT_MODE, 'MODE_NOT_AGREED'],
    ['a time after their end', { notAfter: timeAt(BEGIN_MS + 60_000) }, 'AGREEMENT_EXPIRED'],
    ['a time before they begin', { notBefore: timeAt(BEGIN_MS + 20 * HOUR_MS) }, 'AGREEMENT_NOT_BEGUN'],
  ] as const)('are broken by the target that knows them and offers for %s', async (_, more, code) => {
    expect(
      await violationsOf((telling) => {
        agree(telling, termsOf(1, more));
        telling.rest(HOUR_MS);
        move(telling, 1);
      }),
    ).toEqual([[code, CSP_B, 'MigrationOffered']]);
  });

  it('bind by the last word that brokers read', async () => {
    expect(
      await violationsOf((telling) => {
        for (let n = 1; n < AGREEMENT_EVENTS_MAX; n++)
          telling.sign(telling.b, { type: 'AgreementProposed', causes: [], data: { terms: termsOf(9) } });
        agree(telling, termsOf(1, NOT_MODE));
        telling.rest(HOUR_MS);
        move(telling, 1);
      }),
    ).toEqual([['MODE_NOT_AGREED', CSP_B, 'MigrationOffered']]);
  });

  it('bind the source, too, once it has cited what came after the acceptance', async () => {
    expect(
      await violationsOf((telling) => {
        move(telling, 1);
        const accepted = agree(telling, termsOf(1, NOT_MODE));
        telling.sign(telling.a, { type: 'AgreementProposed', causes: [accepted], data: { terms: termsOf(2, NOT_MODE) } });
        telling.rest(HOUR_MS);
        move(telling, 2);
      }),
    ).toEqual([
      ['MODE_NOT_AGREED', 'csp-a.example', 'MigrationIntended'],
      ['MODE_NOT_AGREED', CSP_B, 'MigrationOffered'],
    ]);
  });

  it.each<[string, (telling: Telling) => void]>([
    [
      'was signed a moment before, and may have come between look and signature',
      (telling) => {
        agree(telling, termsOf(1, NOT_MODE));
        move(telling, 1);
      },
    ],
    [
      'ended a moment before',
      (telling) => {
        agree(telling, termsOf(1, { notAfter: timeAt(BEGIN_MS + HOUR_MS) }));
        telling.rest(HOUR_MS);
        move(telling, 1);
      },
    ],
    [
      'was replaced by one that allows it, which both may have known',
      (telling) => {
        agree(telling, termsOf(1, NOT_MODE));
        telling.rest(HOUR_MS);
        agree(telling, termsOf(2));
        move(telling, 1);
      },
    ],
    [
      'was accepted beyond the words that brokers read, void ones among them',
      (telling) => {
        const words = (count: number, data: unknown): void => {
          for (let n = 0; n < count; n++)
            telling.sign(telling.b, { type: 'AgreementProposed', causes: [], data } as unknown as Draft);
        };
        agree(telling, termsOf(1));
        words(AGREEMENT_EVENTS_MAX - 2, { terms: termsOf(9) });
        words(1, {});
        agree(telling, termsOf(2, NOT_MODE));
        telling.rest(HOUR_MS);
        move(telling, 1);
      },
    ],
    [
      'was only proposed',
      (telling) => {
        telling.sign(telling.b, { type: 'AgreementProposed', causes: [], data: { terms: termsOf(1, NOT_MODE) } });
        telling.rest(HOUR_MS);
        move(telling, 1);
      },
    ],
  ])('convict nobody by an agreement that %s', async (_, tell) => {
    expect(await violationsOf(tell)).toEqual([]);
  });
});
