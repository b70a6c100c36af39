import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { daemonEnv, repositoryRoot } from '@carnet/dev';
import type { Answer, BrokerClient } from '@carnet/publisher';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runsAt } from '../faults/harness/checks.ts';
import { clientOf } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intentOf, must, newMigration, settled, type Vm } from '../faults/harness/moves.ts';

const TARGET = 'csp-b.example';
let clouds: Clouds;
let scheduler: BrokerClient;
let vm: Vm;

beforeAll(async () => {
  clouds = await startClouds();
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
  it('a VM does not enter a jurisdiction, nor hosts below its level', async () => {
    const kept = await createVm(clouds.a);
    must(await restrict(kept, { jurisdictions: ['DE', 'EU'] }));
    await isRefused(() => ask(kept), 'POLICY_DENIES', 'JURISDICTION_FORBIDDEN');
    await isRefused(() => restrict(kept, { jurisdictions: null }), 'ROLE_MISSING');
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
  it('the one asks, the other approves, nobody both; then it moves, and each side’s auditor comes to the same', async () => {
    const { a, b } = clouds;
    must(await restrict(vm, { labels: ['two-persons'], onward: false }));
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
    for (const cloud of [a, b])
      expect(audited(cloud.paths.brokerState)).toMatchObject([
        { quoted: 1, replayed: cloud === a ? 1 : 0 },
        { quoted: 1, replayed: cloud === b ? 1 : 0 },
      ]);
  });

  it('a guest is not loosened, by whoever holds it', async () => {
    expect(await restrict(vm, { onward: true }, clouds.b.api)).toMatchObject({ ok: false, code: 'RESTRICTIONS_LOOSENED' });
    expect(await restrict(vm, { labels: [] }, clouds.b.api)).toMatchObject({ ok: false, code: 'RESTRICTIONS_LOOSENED' });
  });
});

/** What the auditor says of decisions, with one side's archive. */
function audited(state: string): readonly unknown[] {
  const { a, b, pki } = clouds;
  const exports = [a, b].map((cloud) => {
    const file = join(cloud.paths.home, `export-${randomUUID()}`);
    const context = join(cloud.paths.home, 'auditor-context.toml');
    writeFileSync(context, contextOf(cloud));
    run('audit', 'export', '--context', context, '--out', file);
    return file;
  });
  const out = run(
    'audit',
    'verify',
    ...exports,
    '--root',
    join(pki, 'root.pem'),
    '--crls',
    join(pki, 'crls'),
    '--policies',
    join(state, 'policies'),
    '--json',
  );
  return JSON.parse(out).decisions;
}

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
    env: daemonEnv,
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
