import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Draft, digest, escrowId, recoveryId, seq, spiffeId } from '@carnet/events';
import { keyAnnouncementBytes } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditReport } from './report.ts';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import {
  BEGIN_MS,
  base64,
  CSP_A,
  CSP_B,
  chainOf,
  createFederation,
  eventKey,
  type Federation,
  leafOf,
  signerOf,
  testimony,
  timeAt,
} from './testing/federation.ts';
import { DESTROYED_FACTS, NEW_DISK_KEY, rekeyedFacts } from './testing/performer.ts';
import { type Alter, migrationOf, Telling, vmOf } from './testing/telling.ts';
import { verify } from './verify.ts';

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

const check = (exports: readonly (readonly string[])[]): Promise<AuditReport> => {
  const paths = exports.map((lines) => writeLines(dir, `export-${files++}`, lines));
  return verify({ files: paths, contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {} });
};

describe('what a lying broker signs is found, though its ledger is in order', () => {
  const change =
    <T extends Draft['type']>(type: T, alter: (draft: Extract<Draft, { readonly type: T }>) => Draft): Alter =>
    (draft) =>
      draft.type === type ? alter(draft as Extract<Draft, { readonly type: T }>) : draft;
  const m = { id: migrationOf(1), vm: vmOf(1), source: CSP_A, target: CSP_B, epoch: 1 } as unknown as Parameters<
    typeof testimony
  >[1];
  const now = timeAt(BEGIN_MS);
  const rows: readonly (readonly [string, () => Alter, string])[] = [
    [
      'no evidence in a receipt',
      () =>
        change(
          'SourceRetired',
          (d) => ({ ...d, data: { ...d.data, receipt: { ...d.data.receipt, evidence: undefined } } }) as unknown as Draft,
        ),
      'EVIDENCE_MISSING',
    ],
    [
      'evidence with another signature',
      () =>
        change('VmStarted', (d) => ({
          ...d,
          data: {
            ...d.data,
            evidence: { ...d.data.evidence, signatures: [{ keyid: d.data.evidence.signatures[0]?.keyid ?? '', sig: 'AAAA' }] },
          },
        })),
      'EVIDENCE_REFUSED',
    ],
    [
      'evidence of the wrong side',
      () =>
        change('VmStarted', (d) => ({ ...d, data: { ...d.data, evidence: testimony(federation, m, 'source', 'started', now) } })),
      'EVIDENCE_REFUSED',
    ],
    [
      'evidence of another step',
      () =>
        change('VmHealthy', (d) => ({ ...d, data: { ...d.data, evidence: testimony(federation, m, 'target', 'started', now) } })),
      'EVIDENCE_DIFFERS',
    ],
    [
      'evidence of another epoch',
      () =>
        change('SourceQuiesced', (d) => ({
          ...d,
          data: { ...d.data, evidence: testimony(federation, m, 'source', 'stopped', now, { epoch: 7 as never }) },
        })),
      'EVIDENCE_DIFFERS',
    ],
    [
      'evidence from the future',
      () =>
        change('VmStarted', (d) => ({
          ...d,
          data: { ...d.data, evidence: testimony(federation, m, 'target', 'started', timeAt(BEGIN_MS + 9e6)) },
        })),
      'EVIDENCE_DIFFERS',
    ],
    [
      'started before it was stopped',
      () =>
        change('VmStarted', (d) => ({
          ...d,
          data: { ...d.data, evidence: testimony(federation, m, 'target', 'started', timeAt(BEGIN_MS - 9e6)) },
        })),
      'TWO_HOLDERS',
    ],
    [
      'a receipt that forgets a key',
      () => change('SourceRetired', (d) => ({ ...d, data: { ...d.data, receipt: { ...d.data.receipt, keys: [] } } })),
      'RECEIPT_INCOMPLETE',
    ],
    [
      'a receipt that says nothing of one artifact’s fate',
      () => change('SourceRetired', (d) => ({ ...d, data: { ...d.data, receipt: { ...d.data.receipt, artifactFates: [] } } })),
      'RECEIPT_INCOMPLETE',
    ],
    [
      'a receipt for a header that the host did not overwrite',
      () =>
        change('SourceRetired', (d) => ({
          ...d,
          data: {
            ...d.data,
            receipt: {
              ...d.data.receipt,
              evidence: testimony(federation, m, 'source', 'destroyed', now, {
                facts: { ...DESTROYED_FACTS, fate0: 'unlinked' },
              }),
            },
          },
        })),
      'RECEIPT_DIFFERS',
    ],
    [
      'its own policy denied',
      () => change('MigrationOffered', (d) => ({ ...d, data: { ...d.data, policy: { ...d.data.policy, allowed: false } } })),
      'POLICY_DENIED',
    ],
    [
      'another mode than was asked for',
      () => change('MigrationIntended', (d) => ({ ...d, data: { ...d.data, request: good.request(5, vmOf(1), CSP_A, CSP_B) } })),
      'REQUEST_DIFFERS',
    ],
    [
      'less re-keying than was asked for',
      () =>
        change('MigrationIntended', (d) => ({
          ...d,
          data: { ...d.data, request: good.request(1, vmOf(1), CSP_A, CSP_B, { rekey: 'full' }) },
        })),
      'REQUEST_DIFFERS',
    ],
    [
      'a request that another principal signed',
      () =>
        change('MigrationIntended', (d) => ({
          ...d,
          data: { ...d.data, request: { ...d.data.request, principal: `spiffe://${CSP_A}/operator` } },
        })),
      'REQUEST_REFUSED',
    ],
    [
      'an agent of another host',
      () => change('OfferAgreed', (d) => ({ ...d, data: { ...d.data, agent: { ...d.data.agent, host: 'host-2' as never } } })),
      'AGENT_REFUSED',
    ],
  ];
  it.each(rows)('%s', async (_, alter, code) => {
    const telling = tell(alter());
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect([report.verdict, report.divergence?.code, report.divergence?.migration]).toEqual(['diverged', code, migrationOf(1)]);
  });

  const rekeyed = (data: object): Alter =>
    change('VolumeRekeyed', (d) => ({ ...d, data: { ...d.data, ...data } }) as unknown as Draft);
  const word = (more: object, kind: 'rekeyed' | 'started' = 'rekeyed') => ({
    evidence: testimony(federation, m, 'target', kind, now, { facts: { ...rekeyedFacts('full'), ...more } }),
  });
  it.each<readonly [string, () => Alter, string]>([
    ['no word of the host', () => rekeyed(word({}, 'started')), 'EVIDENCE_DIFFERS'],
    ['another header than the host saw', () => rekeyed(word({ after0: 'f'.repeat(64) })), 'REKEY_DIFFERS'],
    ['a method that the host did not use', () => rekeyed(word({ method: 'slot' })), 'REKEY_DIFFERS'],
    ['volumes that the host did not name', () => rekeyed(word({ artifact0: 'none' })), 'REKEY_DIFFERS'],
  ])('re-keying with %s', async (_, alter, code) => {
    const telling = new Telling(federation, alter());
    telling.play(telling.intend(1, { rekey: 'full' }));
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect([report.verdict, report.divergence?.code]).toEqual(['diverged', code]);
  });

  it('re-keying as agreed is proven; less than agreed is void, with its code, and so is a start before it', async () => {
    const honest = new Telling(federation);
    honest.play(honest.intend(1, { rekey: 'full' }));
    const proven = await check([exportLines(honest), exportLines(honest, CSP_B)]);
    expect([proven.divergence, proven.notices]).toEqual([undefined, []]);
    const lying = new Telling(
      federation,
      change('VolumeRekeyed', (d) => ({ ...d, data: { ...d.data, method: 'slot' } }) as unknown as Draft),
    );
    lying.play(lying.intend(1, { rekey: 'full' }), 'VolumeRekeyed');
    const report = await check([exportLines(lying), exportLines(lying, CSP_B)]);
    expect(report.notices.map(({ code }) => code)).toEqual(['REKEY_WEAKER']);
    const hasty = new Telling(federation);
    hasty.play(hasty.intend(1, { rekey: 'full' }), 'KeyImported');
    const imported = hasty.journey(vmOf(1)).migrations[0]?.facts.KeyImported?.digest;
    hasty.sign(hasty.b, {
      type: 'StartAuthorized',
      causes: [],
      migration: migrationOf(1),
      epoch: 1,
      data: { imported, host: 'host-1', startVcpus: true },
    } as unknown as Draft);
    const early = await check([exportLines(hasty), exportLines(hasty, CSP_B)]);
    expect(early.notices.map(({ code }) => code)).toEqual(['REKEY_OWED']);
  });

  it('a target that gives the VM back, and keeps the key that it made for it', async () => {
    const telling = new Telling(federation);
    const vm = telling.intend(1, { rekey: 'full' });
    telling.play(vm, 'VolumeRekeyed');
    const [given] = telling.journey(vm).migrations;
    if (given === undefined) throw new Error('no migration');
    telling.giveBack(given);
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect(report.divergence).toMatchObject({ code: 'RECEIPT_INCOMPLETE', expected: NEW_DISK_KEY });
  });

  it('a void event is a notice and counts for nobody', async () => {
    const telling = new Telling(federation);
    const vm = telling.intend(1);
    telling.play(vm, 'MigrationOffered');
    telling.sign(telling.a, {
      type: 'SourceRetired',
      causes: [],
      migration: migrationOf(1),
      epoch: 1,
      data: {},
    } as unknown as Draft);
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect([report.divergence, report.notices.map(({ code }) => code)]).toEqual([undefined, ['SCHEMA_INVALID']]);
    expect(report.migrations.map(({ outcome, ended }) => [outcome, ended])).toEqual([['offered', false]]);
  });

  it('a request without signature is a notice', async () => {
    const telling = new Telling(federation);
    telling.intend(1, { request: { via: 'mtls', principal: `spiffe://${CSP_A}/operator`, digest: 'a'.repeat(64) as never } });
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect([report.divergence, report.notices.map(({ code }) => code)]).toEqual([undefined, ['REQUEST_VOUCHED']]);
  });

  it('a step of a recovery that is told days later is a notice', async () => {
    const telling = new Telling(federation);
    const [escrow, recovery] = [escrowId.parse(migrationOf(7)), recoveryId.parse(migrationOf(8))];
    const [asker, custodian] = ['operator/olga', 'custodian/anna'].map((who) => spiffeId.parse(`spiffe://${CSP_A}/${who}`));
    if (asker === undefined || custodian === undefined) throw new Error('nobody');
    const said = { escrow, recovery, statement: digest.parse('a'.repeat(64)) };
    const notAfter = timeAt(BEGIN_MS + 3_600_000);
    telling.sign(telling.a, { type: 'RecoveryRequested', causes: [], data: { ...said, asker, notAfter } });
    telling.rest(7_200_000);
    telling.sign(telling.a, { type: 'RecoveryApproved', causes: [], data: { ...said, custodian } });
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect([report.verdict, report.notices]).toEqual([
      'proven to head 3, 1',
      [expect.objectContaining({ code: 'RECOVERY_LATE', seq: 3, expected: notAfter })],
    ]);
  });

  it('a replaced key goes on', async () => {
    const telling = new Telling(federation);
    telling.announce(telling.a, 'second key' as never);
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect(report.verdict).toBe('proven to head 2, 1');
  });

  it('what a revoked key signed after its owner’s last word is named', async () => {
    const telling = new Telling(federation);
    telling.intend(1);
    const old = eventKey(CSP_A);
    const said = { keyid: old.keyid, lastSeq: seq.parse('1'), reason: { code: 'KEY_LOST', text: 'stolen' } };
    const leaf = leafOf(federation, CSP_A, 'broker');
    const signature = base64(signerOf(leaf).sign(keyAnnouncementBytes(CSP_A, CSP_B, said)));
    telling.sign(telling.a, { type: 'KeyRevoked', causes: [], data: { ...said, chain: chainOf(leaf), signature } });
    const report = await check([exportLines(telling), exportLines(telling, CSP_B)]);
    expect([report.divergence, report.notices.map(({ code, text }) => [code, text.slice(0, 16)])]).toEqual([
      undefined,
      [['REVOKED_KEY_SIGNED', 'positions 2 to 3']],
    ]);
  });
});
