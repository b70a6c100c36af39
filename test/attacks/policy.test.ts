import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeEnv, repositoryRoot } from '@carnet/dev';
import { PAYLOAD_TYPES, type VmSpec, vmSpec } from '@carnet/events';
import { imageOf } from '@carnet/policy';
import { type Answer, type BrokerClient, policyCrypto } from '@carnet/publisher';
import { ed25519Signer, signEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CspPlan } from '../../infra/dev/src/clouds/layout.ts';
import { accreditationFiles, ISSUER } from '../faults/harness/accreditor.ts';
import { runsAt } from '../faults/harness/checks.ts';
import { clientOf } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intentOf, must, newMigration, settled, type Vm } from '../faults/harness/moves.ts';

const TARGET = 'csp-b.example';
/** B receives from nobody whom the accreditor does not vouch for. */
const onlyFromAccredited = (text: string, { domain }: CspPlan): string =>
  domain === TARGET && text.includes('@id("receive-from-known")')
    ? `${text}
@id("only-from-accredited") @reason("ACCREDITATION_MISSING")
forbid (principal, action == Action::"receive", resource) unless { context.accredited.contains("${ISSUER}:c5") };`
    : text;
let clouds: Clouds;
let scheduler: BrokerClient;
let vm: Vm;

beforeAll(async () => {
  clouds = await startClouds({ policy: onlyFromAccredited, policyMore: accreditationFiles });
  scheduler = clientOf(clouds.a.paths, clouds.a.plan, clouds.a.facts.ports.http, 'scheduler');
  vm = await createVm(clouds.a);
});
afterAll(async () => {
  scheduler?.close();
  await clouds?.stop();
});

const restrict = (of: Vm, change: object, api = clouds.a.api): Promise<Answer<unknown>> =>
  api.post(`/v1/vms/${of.vm}/restrictions`, change);
const ask = (of: Vm, migration = newMigration(), api = scheduler): Promise<Answer<{ readonly migration: string }>> =>
  api.post('/v1/intents', intentOf(of.vm, TARGET, 'cold', migration));
const everything = async (): Promise<unknown> => ({
  a: await ledgerRows(clouds.a.database),
  b: await ledgerRows(clouds.b.database),
  vms: await rowsOf(clouds.a.database, 'select * from broker_vms order by vm'),
  runs: runsAt(clouds, vm),
});

async function isRefused(work: () => Promise<Answer<unknown>>, code: string, reason?: string): Promise<void> {
  const before = await everything();
  expect(await work()).toMatchObject({
    ok: false,
    code,
    ...(reason === undefined ? {} : { reasons: [expect.objectContaining({ code: reason })] }),
  });
  expect(await everything()).toEqual(before);
}

describe('restrictions at the door', () => {
  it('a VM on hold moves nowhere, is not deleted, and no operator lifts the hold', async () => {
    const held = await createVm(clouds.a);
    must(await restrict(held, { legalHold: true }));
    await isRefused(() => ask(held), 'POLICY_DENIES', 'LEGAL_HOLD');
    await isRefused(() => clouds.a.api.act('DELETE', `/v1/vms/${held.vm}`), 'LEGAL_HOLD');
    await isRefused(() => restrict(held, { legalHold: false }), 'ROLE_MISSING');
  });
  it('a VM does not enter a jurisdiction, nor hosts below its level, nor go to who lacks what it demands', async () => {
    const kept = await createVm(clouds.a);
    must(await restrict(kept, { jurisdictions: ['DE', 'EU'] }));
    await isRefused(() => ask(kept), 'POLICY_DENIES', 'JURISDICTION_FORBIDDEN');
    await isRefused(() => restrict(kept, { jurisdictions: null }), 'ROLE_MISSING');
    const accredits = await createVm(clouds.a);
    must(await restrict(accredits, { accreditations: [`${ISSUER}:old`] }));
    await isRefused(() => ask(accredits), 'POLICY_DENIES', 'ACCREDITATION_REVOKED');
    must(await restrict(accredits, { accreditations: [`${ISSUER}:forged`, `${ISSUER}:old`] }));
    await isRefused(() => ask(accredits), 'POLICY_DENIES', 'ACCREDITATION_NOT_ACCEPTED');
    await isRefused(() => restrict(accredits, { accreditations: null }), 'ROLE_MISSING');
    const high = await createVm(clouds.a);
    must(await restrict(high, { level: 2 }));
    await isRefused(() => ask(high), 'POLICY_DENIES', 'LEVEL_TOO_LOW');
  });
  it.each([
    ['a role in the request', (body: object) => ({ ...body, data: { ...Object(body).data, role: 'administrator' } })],
    [
      'a principal in the request',
      (body: object) => ({ ...body, data: { ...Object(body).data, principal: 'spiffe://csp-a.example/administrator' } }),
    ],
    ['an approval in the request', (body: object) => ({ ...body, data: { ...Object(body).data, approvals: [] } })],
  ])('%s is no part of it', (_, change) =>
    isRefused(() => scheduler.post('/v1/intents', change(intentOf(vm.vm, TARGET, 'cold'))), 'PARAMETER_INVALID'));
  it.each(['x"},"parents":[]', '<User/>', 'a b', `default', 'x`])('a project named %j is no name', (project) =>
    isRefused(() => restrict(vm, { project }), 'PARAMETER_INVALID'));
});

describe('two persons', () => {
  it('the one asks, the other approves, nobody both; then it moves', async () => {
    const { a } = clouds;
    must(await restrict(vm, { labels: ['two-persons'], onward: false, accreditations: [`${ISSUER}:c5`] }));
    const [own, id] = [newMigration(), newMigration()];
    await isRefused(() => ask(vm, own, a.api), 'APPROVAL_NEEDED', 'APPROVAL_NEEDED');
    await isRefused(() => a.api.post(`/v1/requests/${own}/approve`, {}), 'APPROVAL_REFUSED', 'SELF_APPROVAL');
    await isRefused(() => ask(vm, id), 'APPROVAL_NEEDED', 'APPROVAL_NEEDED');
    await isRefused(() => scheduler.post(`/v1/requests/${id}/approve`, {}), 'APPROVAL_REFUSED', 'SELF_APPROVAL');
    must(await a.api.post(`/v1/requests/${id}/approve`, {}));
    expect(await settled(clouds, id, 60_000)).toMatchObject({ outcome: 'done' });
    const types = (await ledgerRows(a.database)).map(({ publisher, type }) => `${publisher} ${type}`);
    for (const [csp, first] of [
      ['csp-a.example', 'MigrationIntended'],
      ['csp-b.example', 'MigrationOffered'],
    ] as const)
      expect(types.indexOf(`${csp} PolicyAnnounced`)).toBe(types.indexOf(`${csp} ${first}`) - 1);
  });

  it('a guest is not loosened, by whoever holds it', async () => {
    expect(await restrict(vm, { onward: true }, clouds.b.api)).toMatchObject({ ok: false, code: 'RESTRICTIONS_LOOSENED' });
    expect(await restrict(vm, { labels: [] }, clouds.b.api)).toMatchObject({ ok: false, code: 'RESTRICTIONS_LOOSENED' });
  });
});

describe('an owner', () => {
  const key = generateKeyPairSync('ed25519').privateKey;
  const owner = Buffer.from(ed25519Signer(key).publicKey).toString('base64');
  let owned: Vm;
  let spec: VmSpec;
  const consent = (change: object = {}, by = key): object => {
    const at = (ms: number): string => new Date(Date.now() + ms).toISOString();
    const statement = {
      consents: 'migration',
      serial: 'test',
      vm: owned.vm,
      image: imageOf(spec, policyCrypto.hash),
      source: 'csp-a.example',
      target: TARGET,
      modes: ['cold'],
      notBefore: at(-60_000),
      notAfter: at(600_000),
      epoch: 1,
      ...change,
    };
    const signed = signEnvelope(PAYLOAD_TYPES.consent, Buffer.from(JSON.stringify(statement)), ed25519Signer(by));
    return JSON.parse(Buffer.from(signed).toString());
  };
  const move = (more: object, migration = newMigration()): Promise<Answer<{ readonly migration: string }>> =>
    scheduler.post('/v1/intents', intentOf(owned.vm, TARGET, 'cold', migration, more));
  beforeAll(async () => {
    owned = await createVm(clouds.a);
    must(await restrict(owned, { owner }));
    const { items } = must(await clouds.a.api.get<{ readonly items: readonly { vm: string; spec: unknown }[] }>('/v1/vms'));
    spec = vmSpec.parse(items.find(({ vm: one }) => one === owned.vm)?.spec);
  });

  it('is changed by no operator', async () => {
    await isRefused(() => restrict(owned, { owner: null }), 'ROLE_MISSING');
    const other = generateKeyPairSync('ed25519').privateKey;
    await isRefused(
      () => restrict(owned, { owner: Buffer.from(ed25519Signer(other).publicKey).toString('base64') }),
      'ROLE_MISSING',
    );
    await isRefused(() => restrict(owned, { owner: 'short' }), 'PARAMETER_INVALID');
  });

  it.each<readonly [string, () => object, string]>([
    ['no consent', () => ({}), 'CONSENT_MISSING'],
    ['the operator’s own', () => ({ consent: consent({}, generateKeyPairSync('ed25519').privateKey) }), 'CONSENT_INVALID'],
    ['one for another VM', () => ({ consent: consent({ vm: vm.vm }) }), 'CONSENT_OTHER_VM'],
    ['one for another target', () => ({ consent: consent({ target: 'csp-c.example' }) }), 'CONSENT_OTHER_DESTINATION'],
    ['one for another mode', () => ({ consent: consent({ modes: ['suspend'] }) }), 'CONSENT_OTHER_MODE'],
    [
      'one that is over',
      () => ({ consent: consent({ notAfter: new Date(Date.now() - 1).toISOString() }) }),
      'CONSENT_OUTSIDE_WINDOW',
    ],
    ['one of another attempt', () => ({ consent: consent({ epoch: 9 }) }), 'CONSENT_USED'],
  ])('with %s: nothing moves, and no ledger hears of it', (_, more, code) =>
    isRefused(() => move(more()), 'POLICY_DENIES', code));

  it('who consents lets it go, and that opens no way back', async () => {
    const given = consent();
    const { migration } = must(await move({ consent: given }));
    expect(await settled(clouds, migration, 60_000)).toMatchObject({ outcome: 'done' });
    const there = clientOf(clouds.b.paths, clouds.b.plan, clouds.b.facts.ports.http, 'scheduler');
    const back = (more: object) => there.post('/v1/intents', intentOf(owned.vm, 'csp-a.example', 'cold', newMigration(), more));
    await isRefused(() => back({}), 'POLICY_DENIES', 'CONSENT_MISSING');
    await isRefused(() => back({ consent: given }), 'POLICY_DENIES', 'CONSENT_OTHER_DESTINATION');
    there.close();
    for (const gone of [null, Buffer.alloc(32, 7).toString('base64')])
      await isRefused(() => restrict(owned, { owner: gone }, clouds.b.api), 'RESTRICTIONS_LOOSENED');
  });
});

it('each side’s auditor comes to the same for every decision of that side, consents included', () => {
  const { a, b, pki } = clouds;
  const exports = [a, b].map((cloud) => {
    const file = join(cloud.paths.home, `export-${randomUUID()}`);
    const context = join(cloud.paths.home, 'auditor-context.toml');
    writeFileSync(context, contextOf(cloud));
    run('audit', 'export', '--context', context, '--out', file);
    return file;
  });
  for (const cloud of [a, b]) {
    const policies = join(cloud.paths.brokerState, 'policies');
    const trust = ['--root', join(pki, 'root.pem'), '--crls', join(pki, 'crls'), '--policies', policies];
    const { decisions } = JSON.parse(run('audit', 'verify', ...exports, ...trust, '--json'));
    expect(decisions).toMatchObject([
      { quoted: 2, replayed: cloud === a ? 2 : 0 },
      { quoted: 2, replayed: cloud === b ? 2 : 0 },
    ]);
  }
});

const contextOf = ({ plan, paths, facts }: Clouds['a']): string =>
  [
    `url = "https://127.0.0.1:${facts.ports.http}"`,
    `serverName = "broker.${plan.domain}"`,
    `rootFile = "${join(paths.pki, 'root.pem')}"`,
    `certificateFile = "${join(paths.pki, 'auditor.pem')}"`,
    `keyFile = "${join(paths.pki, 'auditor.key')}"`,
    '',
  ].join('\n');

function run(app: 'audit' | 'broker', ...args: readonly string[]): string {
  const node = join(repositoryRoot, 'node_modules', '.bin', 'node');
  const ran = spawnSync(node, [join(repositoryRoot, 'apps', app, 'src', 'main.ts'), ...args], {
    encoding: 'utf8',
    env: nodeEnv(),
  });
  return ran.status === 0 ? ran.stdout : `${ran.status} ${ran.stderr}`;
}

it('a broker starts neither with another set of the same version, nor with weaker policies in place of the built-in ones', async () => {
  const { paths } = clouds.a;
  const before = await everything();
  const started = (change: (folder: string) => void): string => {
    const folder = join(paths.home, `policy-${randomUUID()}`);
    cpSync(paths.policy, folder, { recursive: true });
    change(folder);
    // Beside the one that runs, as another replica would be.
    const text = readFileSync(paths.brokerConfig, 'utf8')
      .replace(paths.policy, folder)
      .replace(`stateDirectory = "${paths.brokerState}"`, `stateDirectory = "${folder}-state"`)
      .replaceAll(/^port = \d+$/gm, 'port = 0');
    const config = join(paths.home, `broker-${randomUUID()}.toml`);
    writeFileSync(config, text);
    return run('broker', '--config', config);
  };
  const rules = (folder: string): void =>
    writeFileSync(join(folder, 'more.cedar'), '@id("more") permit (principal, action, resource);');
  expect(started(rules)).toMatch(/^69 [\s\S]*POLICY_VERSION_REUSED: .*Raise the version in set\.json/);
  expect(started((folder) => writeFileSync(join(folder, 'carnet.cedar'), ''))).toMatch(/^69 [\s\S]*POLICY_BASE_OTHER/);
  expect(await everything()).toEqual(before);
});
