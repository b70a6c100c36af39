import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { eventually, freePort, nodeEnv, repositoryRoot } from '@carnet/dev';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { contextText } from '../../infra/dev/src/clouds/config-text.ts';
import { BUS_DOMAIN, CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { ledgersAgree, runsAt } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { ledgerRows, rowsOf } from './harness/ledger-db.ts';
import { createVm, intend, intentOf, must, settled, type Vm } from './harness/moves.ts';

// Two clouds whose configurations name no peer, which have no file of each other, and to which the bus lends nothing for each other.

let clouds: Clouds;
let a: Cloud;
let b: Cloud;
let vm: Vm;
beforeAll(async () => {
  const door = await freePort();
  clouds = await startClouds({
    strangers: true,
    // Whoever operates is an administrator here.
    policy: (of) =>
      of.replaceAll(
        /\{\s*"type": "Role",\s*"id": "operator"\s*\}/g,
        (role) => `${role}, ${role.replace('operator', 'administrator')}`,
      ),
    broker: (of, { key }) =>
      of.replace(/\[\[peers\]\]\n.*\n.*\n/, '') +
      (key === 'a' ? `\n[peering.door]\nport = ${door}\nurl = "https://127.0.0.1:${door}"\n` : ''),
    // A host has a folder of lists of its own: what it is not told it does not know.
    agent: (of) => of.replace(/crlDirectory = "(.*)\/pki\/crls"/, 'crlDirectory = "$1/lists"'),
    prepare: async (plan, paths) => {
      rmSync(join(paths.crls, `${plan.key === 'a' ? CSP_B.domain : CSP_A.domain}.der`));
      cpSync(paths.crls, join(paths.home, 'lists'), { recursive: true });
    },
  });
  ({ a, b } = clouds);
  for (const { paths, plan, facts } of [a, b])
    writeFileSync(paths.context('operator'), contextText({ paths, plan, ports: facts.ports }, 'operator'));
  vm = await createVm(a);
});
afterAll(() => clouds?.stop());

interface Said {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}
/** As an administrator of that cloud types it. */
const carnet = ({ paths }: Cloud, args: readonly string[], stdin = ''): Promise<Said> =>
  typed(['--context', paths.context('operator'), '-f', 'json', ...args], stdin);
async function typed(args: readonly string[], stdin = ''): Promise<Said> {
  const main = join(repositoryRoot, 'apps', 'carnet', 'src', 'main.ts');
  const child = spawn(join(repositoryRoot, 'node_modules', '.bin', 'node'), [main, ...args], { env: nodeEnv(), cwd: '/' });
  child.stdin.end(stdin);
  const [[exit], out, err] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]);
  return { exit: Number(exit), out, err };
}
async function row<T = Record<string, string>>(at: Cloud, args: readonly string[], stdin?: string): Promise<T> {
  const { exit, out, err } = await carnet(at, args, stdin);
  if (exit !== 0) throw new Error(err);
  return JSON.parse(out) as T;
}
/** What the bus's operator does for two members that were strangers: their ledgers, then leave to use them. */
async function pairOnBus(): Promise<void> {
  const { root, pki, bus } = clouds;
  const inBus = (name: string): string => join(root, 'bus', name);
  writeFileSync(join(root, 'nats.pid'), String(bus.pid));
  const table = (of: Readonly<Record<string, string>>): readonly string[] =>
    Object.entries(of).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const lines = [
    ...table({ domain: BUS_DOMAIN, listen: `127.0.0.1:${bus.port}` }),
    '[server]',
    ...table({ configFile: inBus('nats.conf'), pidFile: join(root, 'nats.pid'), directory: inBus('') }),
    ...table({ certificateFile: inBus('server.pem'), keyFile: inBus('server.key') }),
    '[trust]',
    ...table({ rootFile: inBus('root.pem'), crlDirectory: join(pki, 'crls'), marksFile: join(root, 'marks.json') }),
    ...[CSP_A, CSP_B].flatMap(({ domain }) => [
      '[[members]]',
      ...table({ domain, certificateFile: join(pki, domain, 'broker.pem') }),
      `hosts = ["${HOST}"]`,
    ]),
  ];
  const config = join(root, 'bus.toml');
  writeFileSync(config, lines.join('\n'));
  const as = ['--certificate', join(pki, 'bus', 'operator.pem'), '--key', join(pki, 'bus', 'operator.key')];
  const made = await typed(['bus', 'streams', '--config', config, '--server', `tls://127.0.0.1:${bus.port}`, ...as]);
  expect(made).toMatchObject({ exit: 0, err: expect.stringContaining('every pair') });
  expect((await typed(['bus', 'apply', '--config', config])).err).toContain('reloaded');
}
interface Shown {
  readonly state: string;
  readonly origin: string;
  readonly issuer: string;
  readonly peering: { readonly state: string; readonly code: string; readonly issuer: string; readonly ownIssuer: string };
}
const show = (at: Cloud, peer: Cloud): Promise<Shown> => row<Shown>(at, ['peer', 'show', peer.plan.domain]);
const PATHS = ['--data-paths', '127.0.0.0/8'];
const isReady = (at: Cloud) => async (): Promise<true | undefined> => {
  const { items } = must(await at.api.get<{ readonly items: readonly Shown[] }>('/v1/peers'));
  return items.some(({ state, origin }) => state === 'ready' && origin === 'invitation') ? true : undefined;
};
const starts = ({ paths }: Cloud): number => readFileSync(paths.brokerLog, 'utf8').split('"broker ready"').length - 1;

it('strangers become peers by one line of text and two confirmations, and a VM moves; nothing is said or trusted before', async () => {
  const offer = intentOf(vm.vm, b.plan.domain, 'cold');
  expect(await a.api.post('/v1/intents', offer)).toMatchObject({ ok: false, code: 'PEER_UNKNOWN' });
  const { invitation } = await row<{ readonly invitation: string }>(a, ['peer', 'invite', b.plan.domain, ...PATHS]);
  expect(invitation).toMatch(/^carnet-invite-1\./);
  expect(await carnet(b, ['peer', 'join'], `${invitation.slice(0, -1)}x`)).toMatchObject({
    exit: 5,
    err: expect.stringContaining('INVITATION_MALFORMED'),
  });
  await row(b, ['peer', 'join', ...PATHS], `${invitation}\n`);
  const [atA, atB] = await Promise.all([show(a, b), show(b, a)]);
  expect(atA).toMatchObject({ state: 'unconfirmed', origin: 'invitation', peering: { state: 'unconfirmed' } });
  expect(atA.peering.code).toBe(atB.peering.code);
  expect([atA.peering.issuer, atA.peering.ownIssuer]).toEqual([atB.peering.ownIssuer, atB.peering.issuer]);

  await row(a, ['peer', 'confirm', b.plan.domain, '--code', atB.peering.code]);
  const wrong = atB.peering.code.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10));
  expect(await carnet(b, ['peer', 'confirm', a.plan.domain, '--code', wrong])).toMatchObject({
    exit: 5,
    err: expect.stringContaining('PEERING_CODE_WRONG'),
  });
  await eventually('A’s word at B', async () => ((await show(b, a)).peering.state === 'confirmed-there' ? true : undefined));
  // The bus would carry it now: what keeps them apart are the brokers.
  await pairOnBus();
  expect(await a.api.post('/v1/intents', offer)).toMatchObject({ ok: false, code: 'PEER_UNKNOWN' });
  for (const { database } of [a, b]) {
    expect(await ledgerRows(database)).toEqual([]);
    expect(await rowsOf(database, 'select * from ledgers')).toEqual([]);
  }

  await row(b, ['peer', 'confirm', a.plan.domain, '--code', atA.peering.code]);
  await eventually('both ready', async () => ((await isReady(a)()) && (await isReady(b)()) ? true : undefined), 30_000);
  expect([starts(a), starts(b)]).toEqual([1, 1]);
  const moved = await settled(clouds, await intend(a, b, vm, 'cold'), 60_000);
  expect(moved, JSON.stringify(moved)).toMatchObject({ outcome: 'done' });
  expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
  expect(readFileSync(a.paths.brokerLog, 'utf8') + readFileSync(b.paths.brokerLog, 'utf8')).not.toContain(
    invitation.split('.')[1],
  );
}, 90_000);

it('is a peer after a restart, terms are agreed with it, and once it is removed nothing is sent to it', async () => {
  await b.broker.restart();
  await eventually('B ready again', isReady(b), 30_000);
  const terms = ['--modes', 'cold', '--jurisdictions', 'DE,EU,FR', '--days', '30', '--rollback-seconds', '600'];
  const { proposal = '' } = await row(b, ['peer', 'propose', a.plan.domain, ...terms]);
  await eventually('the proposal at A', async () =>
    (await carnet(a, ['peer', 'accept', b.plan.domain, proposal])).exit === 0 ? true : undefined,
  );
  expect(await settled(clouds, await intend(b, a, vm, 'cold'), 60_000)).toMatchObject({ outcome: 'done' });
  await ledgersAgree(clouds);
  // Not before it has acknowledged the last word: it may be that the VM has come.
  await b.broker.stop();
  await row(a, ['peer', 'propose', b.plan.domain, ...terms]);
  expect(await carnet(a, ['peer', 'remove', b.plan.domain])).toMatchObject({
    exit: 5,
    err: expect.stringContaining('PEER_UNHEARD'),
  });
  await b.broker.restart();
  await eventually('its last heads', async () =>
    (await carnet(a, ['peer', 'remove', b.plan.domain])).exit === 0 ? true : undefined,
  );
  await eventually('the end of it at A', async () => {
    const answer = await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold'));
    return !answer.ok && answer.code === 'PEER_UNKNOWN' ? true : undefined;
  });
  const { items } = must(await a.api.get<{ readonly items: readonly Shown[] }>('/v1/peers'));
  expect(items.map(({ origin }) => origin)).toEqual(['former']);
  // What was said to it stays said: epochs are spent, and auditors read on.
  const said = must(await a.api.get<{ readonly items: readonly { readonly type: string }[] }>('/v1/events?limit=1000')).items;
  expect(said.map(({ type }) => type)).toContain('MigrationFinalized');
}, 90_000);
