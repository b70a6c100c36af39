import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import {
  type BreakGlassDecision,
  type BreakGlassPerson,
  type Draft,
  type DsseEnvelope,
  dsseEnvelope,
  type EventData,
  epoch,
  PAYLOAD_TYPES,
  spiffeId,
  timestamp,
  UNRESTRICTED,
} from '@carnet/events';
import { issueLeaf, leafSigner, readPem, rememberedRsaKeys } from '@carnet/pki';
import { decideBreakGlass, imageOf, questionsAbout } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import { type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consentBy, consenting, OWNER, publicKeyOf, signedBy } from '../../../libs/policy/src/testing.ts';
import { EXPORTED_MS, exportLines, writeLines } from './testing/exports.ts';
import { BEGIN_MS, base64, CSP_A, CSP_B, createFederation, type Federation, timeAt } from './testing/federation.ts';
import { operatorOf, PEOPLE, RULES, SPEC } from './testing/performer.ts';
import { type Alter, migrationOf, Telling, vmOf } from './testing/telling.ts';
import { verify } from './verify.ts';

/** The deadline of an intent that is told, and what an answer may be under way. */
const IN_DOUBT_MS = 3_600_000 + 60_000;
const spec = { ...SPEC, restrictions: { ...UNRESTRICTED, owner: publicKeyOf(OWNER) } };
const consent = consentBy(
  OWNER,
  consenting({
    notBefore: '2020-01-01T00:00:00.000Z',
    notAfter: '2099-01-01T00:00:00.000Z',
    vm: vmOf(1),
    image: imageOf(SPEC, policyCrypto.hash),
  }),
);

let federation: Federation;
let people: readonly { readonly leaf: Uint8Array; readonly signer: Signer }[];
let files = 0;
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-glass-'));
const archive = join(dir, 'policies');
beforeAll(async () => {
  federation = await createFederation(dir);
  const keys = rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`));
  people = await Promise.all(PEOPLE.map(async (name) => person(name, await keys())));
  mkdirSync(join(archive, 'one'), { recursive: true });
  for (const [name, text] of RULES.files) writeFileSync(join(archive, 'one', name), text);
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

function person(name: string, { publicKey, privateKey }: Awaited<ReturnType<ReturnType<typeof rememberedRsaKeys>>>) {
  const authority = federation.pki.members.get(CSP_A)?.authority;
  if (authority === undefined) throw new Error('no authority');
  const { pem } = issueLeaf(authority, {
    notBeforeMs: BEGIN_MS - 60_000,
    notAfterMs: BEGIN_MS + 86_400_000,
    profile: 'operator',
    spiffeId: spiffeId.parse(operatorOf(name)),
    dnsNames: [],
    publicKey,
    random: randomBytes,
  });
  const [leaf = new Uint8Array()] = readPem(pem, 'CERTIFICATE');
  return { leaf, signer: leafSigner(privateKey, leaf) };
}

const signed = (signer: Signer, said: object): DsseEnvelope =>
  dsseEnvelope.parse(
    JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.breakGlass, Buffer.from(JSON.stringify(said)), signer)).toString()),
  );

/** Released, no answer, the glass broken as a broker breaks it, and what follows. */
function broken(alter?: Alter): Telling {
  const telling = new Telling(federation, alter);
  const vm = telling.intend(1, { said: { spec, consent } });
  telling.play(vm, 'KeyReleased');
  telling.rest(IN_DOUBT_MS);
  telling.propose(CSP_A, vm, { type: 'BreakGlassResumed', migration: migrationOf(1), data: resumed(telling) });
  telling.play(vm);
  return telling;
}

function resumed(telling: Telling): EventData<'BreakGlassResumed'> {
  const [m] = telling.journey(vmOf(1)).migrations;
  const { MigrationIntended: intent, KeyReleased: released } = m?.facts ?? {};
  if (m === undefined || intent === undefined || released === undefined) throw new Error('nothing was released');
  const nowMs = Date.parse(released.time) + IN_DOUBT_MS;
  const said = {
    migration: m.id,
    vm: m.vm,
    epoch: m.epoch,
    release: released.digest,
    target: m.target,
    reason: 'its data centre burnt down',
    at: timeAt(nowMs - 60_000),
    notAfter: timeAt(nowMs + 3_600_000),
  };
  const persons = people.map(
    ({ leaf, signer }, index): BreakGlassPerson => ({
      principal: spiffeId.parse(operatorOf(PEOPLE[index] ?? '')),
      certificate: base64(leaf),
      envelope: signed(signer, { ...said, says: 'resume-at-source' }),
    }),
  );
  const names = persons.map(({ principal }) => principal);
  const glass = { ...intent.data, released: released.time };
  return {
    release: released.digest,
    opens: epoch.parse(2),
    persons,
    owner: signedBy(OWNER, PAYLOAD_TYPES.breakGlass, { ...said, says: 'target-is-fenced' }),
    policy: questionsAbout(glass, names, timeAt(nowMs)).map((asked) => decideBreakGlass(RULES, asked, glass)),
  };
}

function check(telling: Telling, chosen: { readonly policies?: string } = { policies: archive }) {
  const paths = [exportLines(telling), exportLines(telling, CSP_B)].map((lines) => writeLines(dir, `export-${files++}`, lines));
  return verify({ files: paths, contexts: [], root: join(dir, 'root.pem'), nowMs: EXPORTED_MS, environment: {}, ...chosen });
}

const saying =
  (change: (policy: readonly BreakGlassDecision[]) => readonly BreakGlassDecision[] | undefined): Alter =>
  (draft) => {
    if (draft.type !== 'BreakGlassResumed') return draft;
    const { policy = [], ...rest } = draft.data;
    const changed = change(policy);
    return { ...draft, data: changed === undefined ? rest : { ...rest, policy: changed } };
  };
const each = (change: (one: BreakGlassDecision) => object): Alter =>
  saying((policy) => policy.map((one) => ({ ...one, ...change(one) })));
const asked = (change: Partial<BreakGlassDecision['asked']>): Alter => each((one) => ({ asked: { ...one.asked, ...change } }));

describe('a broken glass', () => {
  it('is verified with its quorum, and its decisions are made again: one for each person', async () => {
    const report = await check(broken());
    expect([report.divergence, report.decisions]).toEqual([
      undefined,
      [
        { csp: CSP_A, quoted: 3, replayed: 3, otherEngine: 0 },
        { csp: CSP_B, quoted: 1, replayed: 1, otherEngine: 0 },
      ],
    ]);
  });

  it.each<readonly [string, Alter, string]>([
    ['its own policy denied', each(() => ({ allowed: false })), 'BREAK_GLASS_DENIED'],
    ['somebody was asked about who has not signed', saying((policy) => [...policy, ...policy.slice(0, 1)]), 'BREAK_GLASS_DENIED'],
    ['the persons are changed over', saying((policy) => policy.toReversed()), 'BREAK_GLASS_DENIED'],
    ['the set was never announced', each(() => ({ policySet: sha256Hex(Buffer.from('other')) })), 'POLICY_NOT_ANNOUNCED'],
    ['it was asked long before', asked({ time: timeAt(BEGIN_MS) }), 'POLICY_QUESTION_DIFFERS'],
    [
      'another release was asked about',
      asked({ released: timestamp.parse('2026-11-22T10:00:00.000Z') }),
      'POLICY_QUESTION_DIFFERS',
    ],
    [
      'other persons beside were asked about',
      asked({ persons: [operatorOf('anna'), operatorOf('carol')] }),
      'POLICY_QUESTION_DIFFERS',
    ],
    ['other policies determined it', each(() => ({ determining: ['other'] })), 'POLICY_DISAGREES'],
    ['the request was another', each(() => ({ request: sha256Hex(Buffer.from('other')) })), 'POLICY_DISAGREES'],
  ])('convicts its source if %s', async (_, alter, code) => {
    expect((await check(broken(alter))).divergence).toMatchObject({ code, ledger: { publisher: CSP_A } });
  });

  it('that quotes nothing is one of an older version, unless the announced rules ask', async () => {
    const silent = saying(() => undefined);
    expect((await check(broken(silent))).divergence?.code).toBe('POLICY_NOT_QUOTED');
    // Without the files: the schema that its ledger announced is this version's.
    expect((await check(broken(silent), {})).divergence?.code).toBe('POLICY_NOT_QUOTED');
    expect(
      (
        await check(
          broken((draft) => silent(ruledBefore(draft))),
          {},
        )
      ).divergence,
    ).toBeUndefined();
  });
});

/** The same, said by rules of which this version has no files. */
function ruledBefore(draft: Draft): Draft {
  const older = { schema: sha256Hex(Buffer.from('a schema of before')) };
  if (draft.type === 'PolicyAnnounced') return { ...draft, data: { ...draft.data, ...older } };
  if (draft.type === 'MigrationIntended')
    return { ...draft, data: { ...draft.data, policy: { ...draft.data.policy, ...older } } };
  return draft.type === 'MigrationOffered'
    ? { ...draft, data: { ...draft.data, policy: { ...draft.data.policy, ...older } } }
    : draft;
}
