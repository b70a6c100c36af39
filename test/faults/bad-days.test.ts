import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, nodeEnv, repositoryRoot } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgersAgree, neverBoth, runsAt } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { watchEvents } from './harness/event-watch.ts';
import { eventAppears, ledgerRows, rowsOf } from './harness/ledger-db.ts';
import { createVm, intend, must, settled } from './harness/moves.ts';

const SOON_MS = 30_000;
const END_MS_MAX = 60_000;

let clouds: Clouds;
let a: Cloud;
let b: Cloud;

beforeAll(async () => {
  clouds = await startClouds();
  ({ a, b } = clouds);
});
afterAll(async () => {
  await clouds?.stop();
});

/** The broker of a cloud as its administrator starts it, with the environment that he gives it. */
function launch({ paths }: Cloud, environment: Readonly<Record<string, string>> = {}) {
  const main = join(repositoryRoot, 'apps', 'broker', 'src', 'main.ts');
  const child = spawn(join(repositoryRoot, 'node_modules', '.bin', 'node'), [main, '--config', paths.brokerConfig], {
    env: { ...nodeEnv(), ...environment },
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  return { child, said: () => said, ended: endOf(child) };
}
const endOf = (child: ChildProcess): Promise<number | null> => once(child, 'exit').then(([code]) => code);

const ops = async ({ facts }: Cloud, path: string): Promise<{ readonly status: number; readonly text: string }> => {
  const response = await fetch(`http://127.0.0.1:${facts.ports.ops}${path}`);
  return { status: response.status, text: await response.text() };
};
/** What `/readyz` says once it contains the words. */
const readyz = (cloud: Cloud, words: string): Promise<string> =>
  eventually(
    `/readyz that says ${words}`,
    async () => {
      const text = await ops(cloud, '/readyz').then(
        (answer) => answer.text,
        () => '',
      );
      return text.includes(words) ? text : undefined;
    },
    SOON_MS,
  );

describe('a broker that starts before its database', () => {
  it('lives, says what it waits for, and goes on when the database is there', async () => {
    await a.broker.stop();
    await a.database.kill('SIGKILL');
    const started = a.broker.restart();
    await readyz(a, 'waits for the database');
    expect((await ops(a, '/livez')).status).toBe(200);
    expect((await ops(a, '/readyz')).status).toBe(503);
    await a.database.restart();
    await started;
    expect((await ops(a, '/readyz')).status).toBe(200);
    expect(readFileSync(a.broker.logFile, 'utf8')).toMatch(/"waitsFor":"database"/);
    must(await a.api.get('/v1/vms'));
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends at once with %s', async (signal) => {
    await a.broker.stop();
    await a.database.kill('SIGKILL');
    const { child, ended } = launch(a);
    await readyz(a, 'waits for the database');
    child.kill(signal);
    expect(await ended).toBe(0);
    await a.database.restart();
    await a.broker.restart();
  });

  it('does not wait for a database that does not exist, or for a user that it refuses', async () => {
    await a.broker.stop();
    for (const url of [
      a.facts.databaseUrl.replace('/postgres?', '/nosuch?'),
      a.facts.databaseUrl.replace(/\/\/[^@]*@/, '//nobody@'),
    ]) {
      const { said, ended } = launch(a, { CARNET_DATABASE_URL: url });
      expect(await ended).toBe(78);
      expect(said()).toContain('cannot start: The database refuses this user, or does not exist.');
    }
    await a.broker.restart();
  });
});

it('a replica of an older release serves on a newer schema that only adds, and does not start on one that took away', async () => {
  // Stands for what a newer release would have done: this program knows nothing of it.
  const record = (name: string) =>
    rowsOf(a.database, 'insert into changes_journal (name, timestamp) values ($1, $2)', [name, new Date().toISOString()]);
  const vm = await createVm(a);
  const migration = await intend(a, b, vm, 'cold');
  await eventAppears(a.database, migration, 'OfferAgreed', SOON_MS);
  await rowsOf(a.database, 'alter table events add column of_a_newer_release text');
  await record('journal-900-column');
  const older = await a.startReplica();
  await a.broker.kill('SIGKILL');
  expect((await settled({ a: older, b }, migration, END_MS_MAX)).outcome).toBe('done');
  expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
  neverBoth(clouds, vm);
  await older.broker.stop();
  await record('journal-901-contract-column');
  const { said, ended } = launch(a);
  expect(await ended).toBe(78);
  expect(said()).toContain('cannot start: SCHEMA_NEWER: ');
  expect(said()).toContain('journal-901-contract-column');
  await rowsOf(a.database, "delete from changes_journal where name like 'journal-9%'");
  await rowsOf(a.database, 'alter table events drop column of_a_newer_release');
  await a.broker.restart();
  await ledgersAgree(clouds);
});

it('a broker that starts before the bus waits for it', async () => {
  await a.broker.stop();
  await clouds.bus.kill('SIGKILL');
  const started = a.broker.restart();
  await readyz(a, 'waits for the bus');
  await clouds.bus.restart();
  await started;
  expect((await ops(a, '/readyz')).status).toBe(200);
});

it('a database that dies in the middle of the day is a code that says to ask again, not a failure of the broker', async () => {
  await a.database.kill('SIGKILL');
  expect(await a.api.get('/v1/vms')).toMatchObject({ ok: false, code: 'DATABASE_UNAVAILABLE', retryAfterMs: 2_000 });
  await a.database.restart();
  await eventually('an answer', async () => ((await a.api.get('/v1/vms')).ok ? true : undefined), SOON_MS);
});

it('a target that has just started does not refuse what its hosts are about to have room for', async () => {
  const vm = await eventually('a VM', () => createVm(a).catch(() => undefined), SOON_MS);
  await b.agent.stop();
  await b.broker.restart();
  const create = { name: 'early', capacityBytes: 1_048_576, memoryMiB: 64, boot: { kind: 'disk' }, start: false };
  expect(await b.api.act('POST', '/v1/vms', create)).toMatchObject({
    ok: false,
    code: 'HOSTS_NOT_HEARD_YET',
    retryAfterMs: 1_000,
  });
  const migration = await intend(a, b, vm, 'cold');
  await eventually(
    'the target that waits for its host',
    async () => {
      const seen = await b.api.get<{ readonly lastFailure?: { readonly code: string } }>(`/v1/migrations/${migration}`);
      return seen.ok && seen.value.lastFailure?.code === 'HOSTS_NOT_HEARD_YET' ? true : undefined;
    },
    SOON_MS,
  );
  await b.agent.restart();
  expect((await settled(clouds, migration, END_MS_MAX)).outcome).toBe('done');
});

describe('a release without an answer', () => {
  type Diagnosis = {
    readonly standing: string;
    readonly turns: readonly { readonly domain: string; readonly must: readonly string[] }[];
    readonly findings: readonly { readonly code: string }[];
    readonly unsafe: readonly string[];
  };
  type Alarm = { readonly migration: string; readonly code: string };
  const diagnosis = async (at: Cloud, migration: string) =>
    must(await at.api.get<Diagnosis>(`/v1/migrations/${migration}/diagnosis`));
  const alarmsAt = async (at: Cloud) => must(await at.api.get<{ readonly items: readonly Alarm[] }>('/v1/alarms')).items;
  const doubtSeconds = async (at: Cloud) =>
    Number(/^carnet_migration_alarm_seconds\{code="IN_DOUBT"\} (\d+)$/m.exec((await ops(at, '/metrics')).text)?.[1]);

  it('is in doubt, alarms, says who must act, gives nothing back by itself, and ends when the target is back', async () => {
    // At A: what B has only decided would not bring the release about.
    const watch = watchEvents(a.database);
    const vm = await createVm(a);
    const migration = await intend(a, b, vm, 'cold');
    await watch.appears(migration, 'ImageVerified', SOON_MS);
    await b.broker.kill('SIGKILL');
    await watch.close();
    const found = await eventually(
      'the release',
      async () => {
        const seen = await diagnosis(a, migration);
        return seen.standing === 'in-doubt' && (await doubtSeconds(a)) > 0 ? seen : undefined;
      },
      SOON_MS,
    );
    expect(found.turns).toMatchObject([{ domain: b.plan.domain }]);
    expect(found.findings.map(({ code }) => code)).toEqual(expect.arrayContaining(['IN_DOUBT', 'EVENTS_NOT_ACKNOWLEDGED']));
    expect(found.unsafe.join(' ')).toContain('it could run twice');
    expect(await alarmsAt(a)).toMatchObject([{ migration, code: 'IN_DOUBT' }]);
    expect(await a.api.post(`/v1/migrations/${migration}/cancel`, {})).toMatchObject({ ok: false });
    expect(runsAt(clouds, vm)).toEqual([]);

    await b.broker.restart();
    expect((await settled(clouds, migration, END_MS_MAX)).outcome).toBe('done');
    expect([(await diagnosis(a, migration)).standing, (await diagnosis(b, migration)).standing]).toEqual(['moved', 'moved']);
    expect([await alarmsAt(a), await doubtSeconds(a)]).toEqual([[], 0]);
  });
});

it('both sides have cosigned the whole of both ledgers, with one note for each', async () => {
  type Row = { readonly publisher: string; readonly size: number; readonly note: string };
  const notes = async (at: Cloud) => must(await at.api.get<{ readonly items: readonly Row[] }>('/v1/checkpoints')).items;
  const lengths = async () => Map.groupBy(await ledgerRows(a.database), ({ publisher }) => publisher);
  await eventually(
    'equal checkpoints of all events',
    async () => {
      const [atA, atB, rows] = [await notes(a), await notes(b), await lengths()];
      const whole = atA.length === 2 && atA.every(({ publisher, size }) => size === rows.get(publisher)?.length);
      return whole && JSON.stringify(atA) === JSON.stringify(atB) ? true : undefined;
    },
    SOON_MS,
  );
});
