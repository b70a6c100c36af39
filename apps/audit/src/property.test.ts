import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditLedgers } from './core/audit-ledgers.ts';
import type { LedgerCopies } from './core/copies.ts';
import { readTrust } from './io/trust-files.ts';
import { EXPORTED_MS } from './testing/exports.ts';
import { createFederation, type Federation, timeAt } from './testing/federation.ts';
import { type Ledger, Telling } from './testing/telling.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-test-'));
let federation: Federation;
let telling: Telling;
beforeAll(async () => {
  federation = await createFederation(dir);
  telling = new Telling(federation);
  telling.play(telling.intend(1), 'KeyReleased');
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A ledger as both CSPs show it. */
const copiesOf = ({ publisher, audience }: Ledger, envelopes: readonly Uint8Array[]): LedgerCopies => ({
  publisher,
  audience,
  copies: [publisher, audience].map((holder) => ({
    source: holder,
    holder,
    exportedAt: timeAt(EXPORTED_MS),
    open: async function* () {
      yield* envelopes;
    },
  })),
});

const audit = (a: readonly Uint8Array[], b: readonly Uint8Array[] = telling.b.envelopes) =>
  auditLedgers({
    pairs: [[copiesOf(telling.a, a), copiesOf(telling.b, b)]],
    trust: readTrust(join(dir, 'root.pem'), join(dir, 'crls')),
    nowMs: EXPORTED_MS,
  });

describe('nothing slips through', () => {
  it('any bit of any envelope', async () => {
    const anyBit = fc.record({ event: fc.nat(), at: fc.nat(), bit: fc.nat(7) });
    await fc.assert(
      fc.asyncProperty(anyBit, async ({ event, at, bit }) => {
        const envelopes = telling.a.envelopes.map((bytes, i) =>
          i === event % telling.a.envelopes.length
            ? bytes.map((byte, j) => (j === at % bytes.length ? byte ^ (1 << bit) : byte))
            : bytes,
        );
        const { divergence } = await audit(envelopes);
        expect(divergence?.seq).toBe((event % telling.a.envelopes.length) + 1);
      }),
      { numRuns: 60 },
    );
  });

  it('any other order, any omission but of the end', async () => {
    const n = telling.a.envelopes.length;
    const someOf = fc
      .shuffledSubarray([...telling.a.envelopes.keys()], { minLength: 1 })
      .filter((order) => order.some((from, to) => from !== to));
    await fc.assert(
      fc.asyncProperty(someOf, async (order) => {
        const { divergence } = await audit(order.flatMap((i) => telling.a.envelopes.slice(i, i + 1)));
        expect(divergence?.seq).toBe(order.findIndex((from, to) => from !== to) + 1);
        expect(order.length).toBeLessThanOrEqual(n);
      }),
      { numRuns: 40 },
    );
  });

  it('a migration that was given back', async () => {
    const back = new Telling(federation);
    const vm = back.intend(1);
    back.play(vm, 'KeyReleased');
    const m = back.journey(vm).migrations[0];
    if (m === undefined) throw new Error('no migration');
    back.giveBack(m);
    back.play(vm);
    const report = await auditLedgers({
      pairs: [[copiesOf(back.a, back.a.envelopes), copiesOf(back.b, back.b.envelopes)]],
      trust: readTrust(join(dir, 'root.pem'), join(dir, 'crls')),
      nowMs: EXPORTED_MS,
    });
    expect([report.violations, report.migrations.map(({ outcome, ended }) => [outcome, ended])]).toEqual([
      [],
      [['rolled-back', true]],
    ]);
    expect(report.migrations[0]?.custody.map(({ event, domains }) => [event, domains.length])).toEqual([
      ['MigrationIntended', 1],
      ['KeyReleased', 1],
      ['MigrationRelinquished', 0],
      ['SourceResumed', 1],
    ]);
  });
});
