import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { daemonEnv, eventually, nodeEnv, repositoryRoot } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contextText } from '../../infra/dev/src/clouds/config-text.ts';
import {
  bothAreReady,
  ledgersAgree,
  neverBoth,
  nobodyAccused,
  nothingLostOrDoubled,
  peerStateAt,
  runsAt,
} from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { eventAppears, ledgerRows, rowsOf } from './harness/ledger-db.ts';
import { createVm, intend, intentOf, must, settled, type Vm } from './harness/moves.ts';

const SOON_MS = 30_000;
const END_MS_MAX = 90_000;

let clouds: Clouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds?.stop());

/** The commands of the page for operators, in their order. */
const [nightly = '', restore = '', importing = '', checking = ''] = [
  ...(readFileSync(join(repositoryRoot, 'apps', 'broker', 'README.md'), 'utf8')
    .split('\n## ')
    .find((section) => section.startsWith('Backup and restore\n'))
    ?.matchAll(/```sh\n(.*?)```/gs) ?? []),
].map(([, lines]) => lines);

const PROGRAMS = {
  carnet: 'carnet/src/main.ts',
  'carnet-audit': 'audit/src/main.ts',
  'carnet-ledger-import': 'broker/src/ledger-import.ts',
};

/** An operator's desk: an empty folder, our programs by their names, a context for each of his roles. */
function deskAt({ paths, plan, facts }: Cloud): { readonly dir: string; readonly env: NodeJS.ProcessEnv } {
  const dir = join(paths.home, 'desk');
  const [bin, contexts] = [join(dir, 'bin'), join(dir, 'config', 'carnet')];
  for (const folder of [bin, contexts]) mkdirSync(folder, { recursive: true });
  for (const [name, main] of Object.entries(PROGRAMS))
    writeFileSync(join(bin, name), `#!/bin/sh\nexec '${process.execPath}' '${join(repositoryRoot, 'apps', main)}' "$@"\n`, {
      mode: 0o755,
    });
  for (const who of ['auditor', 'operator'])
    writeFileSync(join(contexts, `${who}.toml`), contextText({ plan, paths, ports: facts.ports }, who));
  const env = {
    ...nodeEnv(),
    PATH: `${bin}:${daemonEnv['PATH']}`,
    XDG_CONFIG_HOME: join(dir, 'config'),
    CARNET_DATABASE_URL: facts.databaseUrl,
  };
  return { dir, env };
}

function run(cloud: Cloud, lines: string) {
  const { dir, env } = deskAt(cloud);
  const here = lines
    .replaceAll('/etc/carnet/broker.toml', cloud.paths.brokerConfig)
    .replaceAll('/etc/carnet/root.pem', join(clouds.pki, 'root.pem'));
  const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', here], { cwd: dir, env, encoding: 'utf8' });
  return { status, stdout, stderr };
}
const done = expect.objectContaining({ status: 0 });

const fileOf = (cloud: Cloud, name: string): string => join(deskAt(cloud).dir, name);
const bringIn = (cloud: Cloud, file: string) => run(cloud, importing.replace('ledgers.jsonl', file));

async function loseDatabase({ database }: Cloud): Promise<void> {
  await rowsOf(database, 'drop schema public cascade');
  await rowsOf(database, 'create schema public');
}

const everything = async ({ database }: Cloud): Promise<string> => {
  const tables = ['events', 'ledgers', 'peers', 'proofs', 'checkpoints'];
  return JSON.stringify(await Promise.all(tables.map((table) => rowsOf(database, `select * from ${table} order by 1, 2`))));
};

const move = async (from: Cloud, to: Cloud, vm: Vm): Promise<void> => {
  expect((await settled(clouds, await intend(from, to, vm, 'cold'), END_MS_MAX)).outcome).toBe('done');
};

describe("A's database is lost, with every backup of it; an export and the head files are left", () => {
  let awayBefore: Vm;
  let awaySince: Vm;
  let home: Vm;
  let made: Vm;
  let leaving: string;
  let before: Awaited<ReturnType<typeof ledgerRows>>;

  it('a backup and an export are taken while the broker runs, and its life goes on', async () => {
    const { a, b } = clouds;
    awayBefore = await createVm(a);
    await move(a, b, awayBefore);
    home = await createVm(a);
    await move(a, b, home);
    await move(b, a, home);
    made = await createVm(a);
    expect(run(a, nightly)).toEqual(done);
    awaySince = await createVm(a);
    await move(a, b, awaySince);
    // One is under way when it happens, and not yet past the point of no return: B's host is down.
    await b.agent.stop();
    leaving = await intend(a, b, await createVm(a), 'cold');
    await eventAppears(a.database, leaving, 'MigrationIntended', SOON_MS);
    await ledgersAgree(clouds);
    before = await ledgerRows(a.database);
  });

  it('a database that holds something is left as it is, and so is one to which a wrong, cut or altered export is brought', async () => {
    const { a, b } = clouds;
    expect(run(b, nightly)).toEqual(done);
    await Promise.all([a.broker.stop(), b.broker.stop()]);
    const full = await everything(a);
    expect(run(a, importing)).toMatchObject({ status: 78, stderr: expect.stringContaining('IMPORT_DATABASE_USED') });
    expect(await everything(a)).toBe(full);

    await loseDatabase(a);
    const lines = readFileSync(fileOf(a, 'ledgers.jsonl'), 'utf8').split('\n');
    const written = (name: string, of: readonly string[]): string => {
      writeFileSync(fileOf(a, name), of.join('\n'));
      return name;
    };
    const cases = [
      ['EXPORT_TRUNCATED', written('cut.jsonl', lines.slice(0, -2))],
      ['IMPORT_OTHER_CSP', fileOf(b, 'ledgers.jsonl')],
      ['IMPORT_EVENT_REFUSED', written('left-out.jsonl', lines.toSpliced(5, 1))],
    ] as const;
    for (const [code, file] of cases) {
      expect(bringIn(a, file)).toMatchObject({ status: 78, stderr: expect.stringContaining(code) });
      for (const table of ['events', 'ledgers', 'checkpoints'])
        expect(await rowsOf(a.database, `select * from ${table}`)).toEqual([]);
    }
  });

  it('the right one is brought in; nothing is said, and nothing begun, before the peer has answered', async () => {
    const { a } = clouds;
    const imported = run(a, importing);
    expect(imported).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('quarantined until every peer of the configuration has answered'),
    });
    await a.broker.restart();
    expect(await peerStateAt(a)).toBe('quarantined');
    const vm = await eventually('a VM', () => createVm(a).catch(() => undefined), SOON_MS);
    const intent = await a.api.post('/v1/intents', intentOf(vm.vm, clouds.b.plan.domain, 'cold'));
    expect(intent).toMatchObject({ ok: false, code: 'LEDGER_QUARANTINED' });
    // What the head files had beyond the export came home; nothing else is there, and nothing new.
    const own = (rows: typeof before) => rows.filter(({ publisher }) => publisher === a.plan.domain).map(({ digest }) => digest);
    expect(own(await ledgerRows(a.database))).toEqual(own(before));
  });

  it('with the peer’s answer both ledgers are whole again, and go on; nobody is accused', async () => {
    const { a, b } = clouds;
    await b.broker.restart();
    await b.agent.restart();
    await bothAreReady(clouds, SOON_MS);
    await eventually(
      'every event that there was',
      async () => {
        const digests = new Set((await ledgerRows(a.database)).map(({ digest }) => digest));
        return before.every(({ digest }) => digests.has(digest)) ? true : undefined;
      },
      SOON_MS,
    );
    // Without its row and its key the VM cannot leave: the source gives up what was under way.
    expect((await settled(clouds, leaving, END_MS_MAX)).outcome).not.toBe('done');
    await move(a, b, await createVm(a));
    await move(b, a, awayBefore);
    await move(b, a, awaySince);
    await nothingLostOrDoubled(clouds);
    await nobodyAccused(clouds);
  });

  it('a VM that came by a migration is here again with its key; one that was made here runs on, and can be neither moved nor claimed', async () => {
    const { a, b } = clouds;
    type Rows = { readonly items: readonly { readonly vm: string }[] };
    const listed = async () => must(await a.api.get<Rows>('/v1/vms')).items.map(({ vm }) => vm);
    await eventually('the VM that came', async () => ((await listed()).includes(home.vm) ? true : undefined), SOON_MS);
    for (const power of ['off', 'on']) must(await a.api.post(`/v1/vms/${home.vm}/${power}`, {}));
    expect(await listed()).not.toContain(made.vm);
    for (const vm of [home, made]) expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
    const out = await a.api.post('/v1/intents', intentOf(made.vm, b.plan.domain, 'cold'));
    expect(out).toMatchObject({ ok: false, code: 'VM_UNKNOWN' });
    const claimed = await b.api.post('/v1/intents', intentOf(made.vm, a.plan.domain, 'cold'));
    expect(claimed).toMatchObject({ ok: false, code: 'VM_UNKNOWN' });
    for (const vm of [home, awayBefore, awaySince]) neverBoth(clouds, vm);
  });

  it('the page’s check says so, and both exports together are proven', () => checkAt(clouds.a, clouds.b));

  it('the backup of the night comes back instead: VMs of then are known, with their keys, and what has left is gone', async () => {
    const { a, b } = clouds;
    await a.broker.stop();
    await loseDatabase(a);
    expect(run(a, restore)).toEqual(done);
    await a.broker.restart();
    await bothAreReady(clouds, SOON_MS);
    await move(a, b, home);
    expect(runsAt(clouds, home)).toEqual([b.plan.domain]);
    await nothingLostOrDoubled(clouds);
    checkAt(a, b);
    await nobodyAccused(clouds);
  });
});

function checkAt(cloud: Cloud, peer: Cloud): void {
  for (const name of ['ours.jsonl', 'theirs.jsonl']) rmSync(fileOf(cloud, name), { force: true });
  expect(run(peer, `carnet-audit export --context auditor --out '${fileOf(cloud, 'theirs.jsonl')}'`)).toEqual(done);
  const checked = run(cloud, checking);
  expect(checked).toEqual(done);
  expect(checked.stdout).toContain('"ready"');
}
