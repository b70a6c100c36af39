import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Draft,
  type DsseEnvelope,
  digest,
  dsseEnvelope,
  type EventData,
  PAYLOAD_TYPES,
  type PolicyDecision,
  type RequestRecord,
  UNRESTRICTED,
} from '@carnet/events';
import { imageOf } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import { sha256Hex, signEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consentBy, consenting, keyOf, OWNER, publicKeyOf, setOf } from '../../../libs/policy/src/testing.ts';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { CSP_A, CSP_B, chainOf, createFederation, type Federation, leafOf, signerOf, timeAt } from './testing/federation.ts';
import { RULES, SPEC } from './testing/performer.ts';
import { type Alter, migrationOf, Telling, vmOf } from './testing/telling.ts';
import { verify } from './verify.ts';

let federation: Federation;
let files = 0;
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-policy-'));
const archive = join(dir, 'policies');
beforeAll(async () => {
  federation = await createFederation(dir);
  mkdirSync(join(archive, 'one'), { recursive: true });
  for (const [name, text] of RULES.files) writeFileSync(join(archive, 'one', name), text);
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

function check(telling: Telling, policies: string | undefined = archive) {
  const paths = [exportLines(telling), exportLines(telling, CSP_B)].map((lines) => writeLines(dir, `export-${files++}`, lines));
  const chosen = policies === undefined ? {} : { policies };
  return verify({ files: paths, contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {}, ...chosen });
}
const tell = (alter?: Alter): Telling => {
  const telling = new Telling(federation, alter);
  telling.play(telling.intend(1));
  return telling;
};

describe('decisions of policy', () => {
  it('are made again from the files that they name, all of them alike', async () => {
    const report = await check(tell());
    expect([report.divergence, report.decisions]).toEqual([
      undefined,
      [
        { csp: CSP_A, quoted: 1, replayed: 1, otherEngine: 0 },
        { csp: CSP_B, quoted: 1, replayed: 1, otherEngine: 0 },
      ],
    ]);
  });

  it('are counted where the files are not at hand, or one set is named by its own folder', async () => {
    const other = join(dir, 'other');
    mkdirSync(other, { recursive: true });
    for (const [name, text] of setOf('@id("other") permit (principal, action, resource);').files)
      writeFileSync(join(other, name), text);
    expect((await check(tell(), other)).decisions.map(({ replayed }) => replayed)).toEqual([0, 0]);
    expect((await check(tell(), join(archive, 'one'))).decisions.map(({ replayed }) => replayed)).toEqual([1, 1]);
  });

  it('of another engine are counted, and not judged by this one', async () => {
    const old = <D extends object>(data: D): D => ({ ...data, engine: 'cedar 4.0.0' });
    const alter: Alter = (draft) => {
      if (draft.type === 'PolicyAnnounced') return { ...draft, data: old(draft.data) };
      if (draft.type === 'MigrationIntended' || draft.type === 'MigrationOffered')
        return { ...draft, data: { ...draft.data, policy: old(draft.data.policy) } } as Draft;
      return draft;
    };
    const report = await check(tell(alter));
    expect([report.divergence, report.decisions.map(({ otherEngine }) => otherEngine)]).toEqual([undefined, [1, 1]]);
  });

  const withPolicy =
    (type: 'MigrationIntended' | 'MigrationOffered', change: (decision: PolicyDecision) => PolicyDecision): Alter =>
    (draft) =>
      draft.type === type && 'policy' in draft.data && draft.data.policy !== undefined
        ? ({ ...draft, data: { ...draft.data, policy: change(draft.data.policy) } } as Draft)
        : draft;
  const asked = (change: Partial<PolicyDecision['asked']>) => (decision: PolicyDecision) => ({
    ...decision,
    asked: { ...decision.asked, ...change },
  });
  const SIDES = ['MigrationIntended', 'MigrationOffered'] as const;
  it.each<readonly [string, (decision: PolicyDecision) => PolicyDecision, string]>([
    [
      'by a set that was never announced',
      (one) => ({ ...one, policySet: sha256Hex(Buffer.from('other')) }),
      'POLICY_NOT_ANNOUNCED',
    ],
    ['by another version', (one) => ({ ...one, version: 7 }), 'POLICY_NOT_ANNOUNCED'],
    ['about another VM', asked({ vm: vmOf(2) }), 'POLICY_QUESTION_DIFFERS'],
    ['about another principal', asked({ principal: 'spiffe://csp-a.example/administrator' }), 'POLICY_QUESTION_DIFFERS'],
    [
      'with an approval that the intent has not',
      asked({ approvers: ['spiffe://csp-a.example/operator'] }),
      'POLICY_QUESTION_DIFFERS',
    ],
    ['at a time of its choosing', asked({ time: timeAt(0) }), 'POLICY_QUESTION_DIFFERS'],
    ['on other facts than were judged', asked({ open: { migrations: 5, memoryMiB: 0, diskBytes: 0 } }), 'POLICY_DISAGREES'],
    ['for other reasons', (one) => ({ ...one, determining: ['other'] }), 'POLICY_DISAGREES'],
    ['that the rules do not give', (one) => ({ ...one, request: sha256Hex(Buffer.from('other')) }), 'POLICY_DISAGREES'],
  ])('%s are violations, of either side', async (_, change, code) => {
    for (const type of SIDES) {
      const { divergence } = await check(tell(withPolicy(type, change)));
      expect([divergence?.code, divergence?.ledger.publisher]).toEqual([code, type === SIDES[0] ? CSP_A : CSP_B]);
    }
  });

  it('after a downgrade are found by the announcement', async () => {
    const telling = tell();
    telling.rule(telling.a, { ...RULES.ruledBy, version: 2, policySet: sha256Hex(Buffer.from('newer')) });
    telling.rule(telling.a, RULES.ruledBy);
    expect((await check(telling, undefined)).divergence).toMatchObject({
      code: 'POLICY_DOWNGRADED',
      ledger: { publisher: CSP_A },
    });
  });

  it('nor is a revocation list set back in two steps, by a set between that has none', async () => {
    const telling = tell();
    const at = (number: number) => [{ issuer: 'accreditor.example', number }];
    const rule = (version: number, revocations?: ReturnType<typeof at>) =>
      telling.rule(telling.a, {
        ...RULES.ruledBy,
        version,
        policySet: sha256Hex(Buffer.of(version)),
        ...(revocations && { revocations }),
      });
    rule(2, at(5));
    rule(3);
    rule(4, at(4));
    expect((await check(telling, undefined)).divergence).toMatchObject({
      code: 'POLICY_DOWNGRADED',
      ledger: { publisher: CSP_A },
      text: expect.stringContaining('number 5'),
    });
  });
});

describe('approvals', () => {
  const contentOf = (request: RequestRecord): string =>
    request.via === 'signature' ? sha256Hex(Buffer.from(request.envelope.payload, 'base64')) : request.digest;

  function approvedBy(
    who: string,
    content: (request: RequestRecord) => string = contentOf,
  ): Partial<EventData<'MigrationIntended'>> {
    const request = new Telling(federation).request(1, vmOf(1), CSP_A, CSP_B);
    const leaf = leafOf(federation, CSP_A, who);
    const statement = Buffer.from(JSON.stringify({ approves: 'migration', request: content(request) }));
    const envelope = JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.approval, statement, signerOf(leaf))).toString());
    const approval: RequestRecord = {
      via: 'signature',
      principal: leaf.spiffeId,
      envelope: dsseEnvelope.parse(envelope),
      certificate: chainOf(leaf)[0] ?? '',
    };
    return { request, approvals: [approval] };
  }
  const intended = (said: Partial<EventData<'MigrationIntended'>>): Telling => {
    const telling = new Telling(federation);
    telling.intend(1, { said });
    return telling;
  };

  it('in an own signature hold', async () => {
    const { divergence, decisions } = await check(intended(approvedBy('operator')));
    expect([divergence, decisions[0]?.replayed]).toEqual([undefined, 1]);
  });

  it('of another request, or in another name, are violations', async () => {
    const other = approvedBy('operator', () => sha256Hex(Buffer.from('another')));
    const [approval] = approvedBy('operator').approvals ?? [];
    const renamed = {
      ...approvedBy('operator'),
      approvals: approval === undefined ? [] : [{ ...approval, principal: 'somebody' }],
    };
    for (const said of [other, renamed])
      expect((await check(intended(said))).divergence).toMatchObject({ code: 'APPROVAL_FALSE', migration: migrationOf(1) });
  });

  it('of who asked are a violation twice: by the rule, and by the policies that no set can lift', async () => {
    const { violations } = await check(intended(approvedBy('scheduler')));
    expect(violations.map(({ code }) => code)).toEqual(['APPROVAL_FALSE', 'POLICY_DENIED']);
  });

  it.each([
    ['who asked, under another name', 'spiffe://csp-a.example/duty/scheduler', ['APPROVAL_FALSE', 'POLICY_DENIED']],
    ['an API key', 'api-key/nightly', ['APPROVAL_FALSE']],
  ])('of %s are violations', async (_, principal, codes) => {
    const { request } = approvedBy('operator');
    if (request === undefined) throw new Error('a request stands in each intent');
    const approval: RequestRecord = { via: 'token', principal, digest: digest.parse(contentOf(request)) };
    const { violations } = await check(intended({ request, approvals: [approval] }));
    expect(violations.map(({ code }) => code)).toEqual(codes);
  });
});

describe('an owner’s consent', () => {
  const spec = { ...SPEC, restrictions: { ...UNRESTRICTED, owner: publicKeyOf(OWNER) } };
  const window = { notBefore: '2020-01-01T00:00:00.000Z', notAfter: '2099-01-01T00:00:00.000Z' };
  const given = consentBy(OWNER, consenting({ ...window, vm: vmOf(1), image: imageOf(SPEC, policyCrypto.hash) }));
  const told = (consent: DsseEnvelope | undefined, alter?: Alter): Telling => {
    const telling = new Telling(federation, alter);
    telling.play(telling.intend(1, { said: { spec, ...(consent === undefined ? {} : { consent }) } }));
    return telling;
  };

  it('is verified again on both sides’ decisions, from the intent alone', async () => {
    const { divergence, decisions } = await check(told(given));
    expect([divergence, decisions.map(({ replayed }) => replayed)]).toEqual([undefined, [1, 1]]);
  });

  it('that is not there, or the owner’s, convicts who went on without', async () => {
    expect((await check(told(undefined))).divergence).toMatchObject({ code: 'POLICY_DENIED', ledger: { publisher: CSP_A } });
    const forged = consentBy(keyOf('the CSP'), consenting({ ...window, vm: vmOf(1), image: imageOf(SPEC, policyCrypto.hash) }));
    const swapped: Alter = (draft) =>
      draft.type === 'MigrationIntended' ? { ...draft, data: { ...draft.data, consent: forged } } : draft;
    expect((await check(told(given, swapped))).divergence).toMatchObject({
      code: 'POLICY_DISAGREES',
      ledger: { publisher: CSP_A },
    });
  });
});
