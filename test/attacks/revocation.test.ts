import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { connectNats } from '@carnet/journal';
import { createCrl, readCertificate } from '@carnet/pki';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { busAddress, type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { intentOf, type Vm } from '../faults/harness/moves.ts';
import { type Rogue, rogueAfterMove } from './rogue-peer.ts';

/** How long a revoked peer may go on, in ms. */
const CUT_OFF_MS_MAX = 10_000;

let clouds: Clouds;
let rogue: Rogue;
let stays: Vm;
const open: NatsConnection[] = [];

beforeAll(async () => {
  clouds = await startClouds();
  ({ rogue, stays } = await rogueAfterMove(clouds));
});
afterAll(async () => {
  for (const connection of open) await connection.close();
  await rogue?.close();
  await clouds?.stop();
});

const everything = async (): Promise<unknown> => ({
  events: await ledgerRows(clouds.a.database),
  ledgers: await rowsOf(
    clouds.a.database,
    'select publisher, audience, head_seq, head_digest, frozen from ledgers order by 1, 2',
  ),
  vms: await rowsOf(clouds.a.database, 'select vm, host, epoch from broker_vms order by vm'),
});
const said = (code: string): number => readFileSync(clouds.a.paths.brokerLog, 'utf8').split(`"code":"${code}"`).length - 1;

/** A list, as it is published: put in place of the old one in one step. */
function publish(directory: string, der: Uint8Array, issuer = 'root'): void {
  writeFileSync(join(directory, `${issuer}.new`), der);
  renameSync(join(directory, `${issuer}.new`), join(directory, `${issuer}.der`));
}

/** B's own list, of nobody. */
function ownList(number: number): Uint8Array {
  const member = clouds.federation.members.get(CSP_B.domain);
  if (member === undefined) throw new Error('no B');
  const nowMs = Date.now();
  return createCrl(member.authority, { number, thisUpdateMs: nowMs - 1_000, nextUpdateMs: nowMs + 86_400_000, revoked: [] });
}

function rootList(number: number): Uint8Array {
  const { root, members } = clouds.federation;
  const member = members.get(CSP_B.domain);
  const read = readCertificate(member?.authority.certificate ?? new Uint8Array());
  if (!read.ok) throw new Error(read.text);
  const nowMs = Date.now();
  // CRLs count whole seconds: dated down, it would also condemn what was rightly signed within this one.
  const atMs = Math.ceil(nowMs / 1_000) * 1_000;
  const revoked = [{ serial: read.value.serial, atMs, reason: 'cACompromise' as const }];
  return createCrl(root, { number, thisUpdateMs: nowMs - 1_000, nextUpdateMs: nowMs + 86_400_000, revoked });
}

/** Connected as somebody, telling whether the server ended it. */
async function member(
  folder: string,
  name: string,
): Promise<{ readonly connection: NatsConnection; readonly fate: () => string }> {
  const connection = await connectNats(busAddress(clouds.pki, clouds.bus, folder, name));
  open.push(connection);
  let fate = 'connected';
  void (async () => {
    for await (const { type } of connection.status()) if (type === 'disconnect') fate = 'cut off';
  })();
  return { connection, fate: () => fate };
}

describe('a CSP whose intermediate the federation revokes', () => {
  it('is refused by its peer within 10 s: its events, and anything new with it; nothing else changes', async () => {
    const { a } = clouds;
    await eventually('a host that knows the lists', () =>
      readdirSync(join(a.paths.agentState, 'crls')).length > 0 ? true : undefined,
    );
    const before = await everything();
    publish(a.paths.crls, rootList(2));
    await eventually('the alarm', () => (said('REVOKED') > 0 ? true : undefined), CUT_OFF_MS_MAX);
    expect(await a.api.post('/v1/intents', intentOf(stays.vm, CSP_B.domain, 'cold'))).toMatchObject({
      ok: false,
      code: 'PEER_REVOKED',
    });
    await rogue.fire(rogue.sign(await rogue.intended()));
    await eventually('the refusal', () => (said('PEER_REVOKED') > 0 ? true : undefined), CUT_OFF_MS_MAX);
    expect(await everything()).toEqual(before);
    expect(a.host.domain(stays.uuid)?.state).toBe('running');
  });

  it('its hosts’ counterparts are told', async () => {
    const told = join(clouds.a.paths.agentState, 'crls');
    const ours = Buffer.from(readFileSync(join(clouds.a.paths.crls, 'root.der')));
    await eventually(
      'the list at the host',
      () => (readdirSync(told).some((name) => readFileSync(join(told, name)).equals(ours)) ? true : undefined),
      CUT_OFF_MS_MAX,
    );
  });

  it('gets nothing back by an older list, even over a restart', async () => {
    const { a } = clouds;
    const before = await everything();
    const marks = join(a.paths.brokerState, 'crl-numbers.json');
    publish(a.paths.crls, ownList(5), CSP_B.domain);
    await eventually(
      'the number',
      () => (readFileSync(marks, 'utf8').includes('"number":"5"') ? true : undefined),
      CUT_OFF_MS_MAX,
    );
    publish(a.paths.crls, ownList(4), CSP_B.domain);
    await eventually('the alarm', () => (said('CRL_NUMBER_BACK') > 0 ? true : undefined), CUT_OFF_MS_MAX);
    await a.broker.restart();
    await eventually('the alarm after the restart', () => (said('CRL_NUMBER_BACK') > 1 ? true : undefined), CUT_OFF_MS_MAX);
    const count = said('REVOKED');
    publish(a.paths.crls, ownList(6), CSP_B.domain);
    await eventually('revoked as before', () => (said('REVOKED') > count ? true : undefined), CUT_OFF_MS_MAX);
    expect(await everything()).toEqual(before);
  });

  it('loses its place on the bus within 10 s, and nobody else is disturbed', async () => {
    const dir = join(clouds.root, 'bus-operator');
    mkdirSync(join(dir, 'crls'), { recursive: true });
    for (const name of readdirSync(join(clouds.pki, 'crls')))
      writeFileSync(join(dir, 'crls', name), readFileSync(join(clouds.pki, 'crls', name)));
    writeFileSync(join(dir, 'nats.pid'), String(clouds.bus.pid));
    const bus = join(clouds.root, 'bus');
    writeFileSync(
      join(dir, 'bus.toml'),
      [
        'domain = "bus.example"',
        `listen = "127.0.0.1:${clouds.bus.port}"`,
        `[server]\nconfigFile = "${bus}/nats.conf"\npidFile = "${dir}/nats.pid"\ndirectory = "${bus}"`,
        `certificateFile = "${bus}/server.pem"\nkeyFile = "${bus}/server.key"`,
        `[trust]\nrootFile = "${bus}/root.pem"\ncrlDirectory = "${dir}/crls"\nmarksFile = "${dir}/marks.json"`,
        ...[CSP_A, CSP_B].map(
          ({ domain }) =>
            `[[members]]\ndomain = "${domain}"\nhosts = ["${HOST}"]\ncertificateFile = "${clouds.pki}/${domain}/broker.pem"`,
        ),
      ].join('\n'),
    );
    const [brokerA, agentA, brokerB, agentB] = await Promise.all([
      member(CSP_A.domain, 'broker'),
      member(CSP_A.domain, `agent-${HOST}`),
      member(CSP_B.domain, 'broker'),
      member(CSP_B.domain, `agent-${HOST}`),
    ]);
    const tool = spawn(
      process.execPath,
      [join(import.meta.dirname, '../../apps/carnet/src/main.ts'), 'bus', 'watch', '--config', join(dir, 'bus.toml')],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let words = '';
    tool.stderr.setEncoding('utf8').on('data', (text: string) => (words += text));
    try {
      await eventually('the tool', () => (words.includes('csp-b.example good') ? true : undefined), 30_000);
      const everybody = () => [brokerA, agentA, brokerB, agentB].map(({ fate }) => fate());
      // A reload that changes nothing disturbs nobody.
      expect(everybody()).toEqual(['connected', 'connected', 'connected', 'connected']);
      publish(join(dir, 'crls'), rootList(2));
      await eventually(
        'B’s end',
        () => (brokerB.fate() === 'cut off' && agentB.fate() === 'cut off' ? true : undefined),
        CUT_OFF_MS_MAX,
      );
      expect(words).toContain('csp-b.example REVOKED');
      await expect(brokerA.connection.flush()).resolves.toBeUndefined();
      await expect(agentA.connection.flush()).resolves.toBeUndefined();
      expect(everybody()).toEqual(['connected', 'connected', 'cut off', 'cut off']);
    } finally {
      tool.kill('SIGTERM');
    }
  });

  it('and what it signed before still verifies at replay', async () => {
    const file = join(clouds.root, 'export.jsonl');
    const auditor = (...args: readonly string[]) =>
      spawnSync(process.execPath, [join(import.meta.dirname, '../../apps/audit/src/main.ts'), ...args], { encoding: 'utf8' });
    const context = join(clouds.root, 'auditor.toml');
    const { a } = clouds;
    writeFileSync(
      context,
      `url = "https://127.0.0.1:${a.facts.ports.http}"\nserverName = "broker.${CSP_A.domain}"\nrootFile = "${a.paths.pki}/root.pem"\ncertificateFile = "${a.paths.pki}/auditor.pem"\nkeyFile = "${a.paths.pki}/auditor.key"\n`,
    );
    const exported = auditor('export', '--context', context, '--out', file);
    expect(exported.stderr + exported.stdout).not.toMatch(/refused|error/i);
    const verified = auditor('verify', file, '--root', join(a.paths.pki, 'root.pem'), '--crls', a.paths.crls, '--json');
    expect(JSON.parse(verified.stdout)).toMatchObject({ verdict: expect.not.stringContaining('diverged') });
    expect(verified.status).toBe(0);
  });
});
