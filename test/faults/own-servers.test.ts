import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type Nats, privateDir, runAs } from '@carnet/dev';
import { ledgerStream, peerSubject } from '@carnet/events';
import { busConfig, connectNats } from '@carnet/journal';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BUS_DOMAIN, CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { neverBoth, nothingLostOrDoubled, runsAt } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { busAddress, type Clouds, startClouds } from './harness/clouds.ts';
import { eventAppears } from './harness/ledger-db.ts';
import { createVm, intend, must, settled, type Vm } from './harness/moves.ts';
import { keyPinOf, leafIdentity, startLeaf } from './harness/own-servers.ts';

const SOON_MS = 30_000;
const END_MS_MAX = 90_000;

let clouds: Clouds;
let a: Cloud;
let b: Cloud;
beforeAll(async () => {
  clouds = await startClouds({ ownServers: true });
  ({ a, b } = clouds);
});
afterAll(() => clouds?.stop());

const [TO_B, TO_A] = [ledgerStream(CSP_A.domain, CSP_B.domain), ledgerStream(CSP_B.domain, CSP_A.domain)];

/** As A's or B's broker, at the bus or at the own server. */
function connectAs(cloud: Cloud, at: Nats) {
  const address = busAddress(clouds.pki, at, cloud.plan.domain, 'broker');
  return connectNats(at === clouds.bus ? address : { ...address, serverName: leafIdentity(cloud.plan).serverName });
}

/** The bus must answer through a server that calls it; `undefined` while it does not. */
async function asksBus(cloud: Cloud, at: Nats): Promise<true | undefined> {
  const connection = await connectAs(cloud, at);
  try {
    const question = new TextEncoder().encode(JSON.stringify({ seq: 1 }));
    await connection.request(`bus.STREAM.MSG.GET.${cloud === a ? TO_B : TO_A}`, question, { timeout: 1_000 });
    return true;
  } catch {
    return undefined;
  } finally {
    await connection.close();
  }
}

const [leafA, leafB] = [() => leafAt(0), () => leafAt(1)];
function leafAt(i: number): Nats {
  const leaf = clouds.leaves[i];
  if (leaf === undefined) throw new Error('each cloud has a server of its own');
  return leaf;
}

/** VMs are made and switched, keys and migrations read: all that a cloud does without the other. */
async function servesItsOwn(cloud: Cloud): Promise<void> {
  await eventually('a host that is up', async () => {
    const hosts = await cloud.api.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/hosts');
    return hosts.ok && hosts.value.items.some(({ state }) => state === 'up') ? true : undefined;
  });
  const { vm, uuid } = await createVm(cloud);
  expect(cloud.host.domain(uuid)?.state).toBe('running');
  must(await cloud.api.post(`/v1/vms/${vm}/off`, {}));
  expect(cloud.host.domain(uuid)?.state).not.toBe('running');
  must(await cloud.api.post(`/v1/vms/${vm}/on`, {}));
  expect(cloud.host.domain(uuid)?.state).toBe('running');
  const keys = must(await cloud.api.get<{ readonly items: readonly unknown[] }>('/v1/keys'));
  expect(keys.items.length).toBeGreaterThan(0);
  must(await cloud.api.get('/v1/migrations'));
}

const ended = async (cloud: Cloud, migration: string): Promise<boolean> =>
  must(await cloud.api.get<{ readonly ended: boolean }>(`/v1/migrations/${migration}`)).ended;

it('the bus away: both clouds go on, also restarted, what moved stands still, and all converges after', async () => {
  const before = await createVm(a);
  expect(await settled(clouds, await intend(a, b, before, 'cold'), END_MS_MAX)).toMatchObject({ outcome: 'done' });
  const moving: readonly (readonly [Vm, string, string])[] = await Promise.all(
    (['MigrationOffered', 'KeyDeposited', 'SourceQuiesced'] as const).map(async (step) => {
      const vm = await createVm(a);
      return [vm, await intend(a, b, vm, 'cold'), step] as const;
    }),
  );
  await Promise.race(moving.map(([, migration, step]) => eventAppears(a.database, migration, step, SOON_MS)));
  await clouds.bus.kill('SIGKILL');
  await Promise.all([a, b].map(servesItsOwn));
  const later = await createVm(a);
  const asked = await intend(a, b, later, 'cold');
  await Promise.all([a.broker.restart(), b.broker.restart()]);
  await Promise.all([a, b].map(servesItsOwn));
  // Taken, kept, and honest about it: nothing moves that the other side has not agreed to.
  expect(await ended(a, asked)).toBe(false);
  expect(runsAt(clouds, later)).toEqual([a.plan.domain]);
  for (const [vm] of moving) expect(runsAt(clouds, vm).length).toBeLessThanOrEqual(1);
  const awayMs = performance.now();
  await clouds.bus.restart();
  const outcomes = await Promise.all(
    [...moving.map(([, migration]) => migration), asked].map((one) => settled(clouds, one, END_MS_MAX)),
  );
  process.stdout.write(`bus away: all settled ${Math.round(performance.now() - awayMs)} ms after it was back\n`);
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(outcomes.map(() => 'done'));
  for (const vm of [...moving.map(([one]) => one), later]) {
    expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
    neverBoth(clouds, vm);
  }
  await nothingLostOrDoubled(clouds);
});

it('a cloud’s own server away, and back', async () => {
  const vm = await createVm(a);
  const migration = await intend(a, b, vm, 'cold');
  await eventAppears(a.database, migration, 'OfferAgreed', SOON_MS);
  await leafB().kill('SIGKILL');
  await servesItsOwn(a);
  await leafB().restart();
  expect(await settled(clouds, migration, END_MS_MAX)).toMatchObject({ outcome: 'done' });
  neverBoth(clouds, vm);
  await nothingLostOrDoubled(clouds);
});

it('what is said to and by hosts stays within the cloud', async () => {
  const [atBus, atLeafA, atLeafB] = await Promise.all([connectAs(a, clouds.bus), connectAs(a, leafA()), connectAs(b, leafB())]);
  try {
    const heard: string[] = [];
    const listen = (where: string, connection: typeof atBus, subject: string): void => {
      connection.subscribe(subject, { callback: (error, message) => void (error ?? heard.push(`${where} ${message.subject}`)) });
    };
    const [secret, open] = [`host.${HOST}.test`, peerSubject(CSP_A.domain, CSP_B.domain)];
    listen('bus', atBus, 'host.>');
    listen('own', atLeafA, 'host.>');
    listen('peer', atLeafB, open);
    await Promise.all([atBus.flush(), atLeafA.flush(), atLeafB.flush()]);
    const garbage = new TextEncoder().encode('{}');
    await eventually('words of A that reach B', async () => {
      atLeafA.publish(open, garbage);
      await atLeafB.flush();
      return heard.includes(`peer ${open}`) ? true : undefined;
    });
    // On one connection what came first is delivered first: once the second is there, the first would be.
    atLeafA.publish(secret, garbage);
    const told = heard.length;
    await eventually('A’s next word', async () => {
      atLeafA.publish(open, garbage);
      await Promise.all([atLeafB.flush(), atBus.flush()]);
      return heard.slice(told).includes(`peer ${open}`) ? true : undefined;
    });
    atBus.publish(secret, garbage);
    await atBus.flush();
    await eventually('A’s answer from the bus', () => asksBus(a, leafA()));
    await atLeafA.flush();
    expect(heard.filter((one) => one === `own ${secret}`)).toHaveLength(1);
    expect(heard.filter((one) => one === `bus ${secret}`)).toHaveLength(1);
  } finally {
    await Promise.all([atBus, atLeafA, atLeafB].map((one) => one.close()));
  }
});

it('a member that is cut off is so through its own server as well, and nobody else', async () => {
  await eventually('B’s answer from the bus', () => asksBus(b, leafB()), SOON_MS);
  const file = join(clouds.root, 'bus', 'nats.conf');
  const text = readFileSync(file, 'utf8');
  const [, listen = ''] = /leafnodes \{\s+listen: "([^"]+)"/.exec(text) ?? [];
  const dir = join(clouds.root, 'bus');
  const config = {
    busDomain: BUS_DOMAIN,
    members: [CSP_A, CSP_B].map(({ domain }) => ({ domain, hosts: [HOST] })),
    tls: { cert: join(dir, 'server.pem'), key: join(dir, 'server.key'), ca: join(dir, 'root.pem') },
    leaves: listen,
  };
  await clouds.bus.reload(busConfig({ ...config, cutOff: [CSP_B.domain] }));
  expect(await asksBus(b, leafB())).toBeUndefined();
  expect(await asksBus(a, leafA())).toBe(true);
  await clouds.bus.reload(busConfig(config));
  await eventually('B’s answer from the bus, again', () => asksBus(b, leafB()), SOON_MS);
  const vm = await createVm(b);
  expect(await settled(clouds, await intend(b, a, vm, 'cold'), END_MS_MAX)).toMatchObject({ outcome: 'done' });
});

it('a bus with another key is none, whoever signed its certificate', async () => {
  const root = privateDir(join(clouds.root, 'other'), runAs());
  const [, port = ''] =
    /leafnodes \{\s+listen: "[^"]+:(\d+)"/.exec(readFileSync(join(clouds.root, 'bus', 'nats.conf'), 'utf8')) ?? [];
  const keyPins = [keyPinOf(join(clouds.pki, CSP_B.domain, 'server.pem'))];
  const leaf = await startLeaf({ root, pki: clouds.pki, plan: CSP_A, peer: CSP_B, leafPort: Number(port), keyPins });
  try {
    await eventually(
      'a refusal',
      () => (readFileSync(leaf.logFile, 'utf8').includes('certificate not pinned') ? true : undefined),
      SOON_MS,
    );
    expect(await asksBus(a, leaf)).toBeUndefined();
  } finally {
    await leaf.stop();
  }
});
