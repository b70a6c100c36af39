import { spawnSync } from 'node:child_process';
import { randomUUID, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  buildGuest,
  type Daemon,
  eventually,
  type Host as Machine,
  type Nats,
  nodeEnv,
  own,
  privateDir,
  privateFile,
  runAs,
  scratch,
  stageCode,
  startDaemon,
  startHost,
  startNats,
} from '@carnet/dev';
import { PAYLOAD_TYPES, timestamp } from '@carnet/events';
import { crlSubject, type Hello, type HostReport, hailSubject, hostCommand, hostReport } from '@carnet/hypervisor';
import { busConfig, connectNats } from '@carnet/journal';
import { leafSigner, readPem, rsaPssVerifier } from '@carnet/pki';
import { openEnvelope, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toToml } from './testing/toml.ts';
import { A, B, BUS, createPki, prepare } from './testing/two-hosts.ts';

const as = runAs();
const root = scratch('agent');
const pkiDir = join(root, 'pki');
const tmpfs = `/dev/shm/carnet-process-${process.pid}`;
const configFile = join(root, 'agent.toml');
let config: ReturnType<typeof prepare>;
let machine: Machine;
let nats: Nats;
let agent: Daemon;
let broker: NatsConnection;
const heard: HostReport[] = [];

const pem = (name: string): string => readFileSync(join(pkiDir, name), 'utf8');
const leafOf = (name: string): Uint8Array => readPem(pem(name), 'CERTIFICATE')[0] ?? new Uint8Array();
const signerOf = (name: string): Signer => leafSigner(pem(`${name}.key`), leafOf(`${name}.pem`));
const agentLeaf = (): Uint8Array => leafOf(`${A.domain}/agent-${A.host}.pem`);

/** What the agent says counts only under its own leaf. */
function openReport(bytes: Uint8Array): HostReport {
  const verifier = rsaPssVerifier(new X509Certificate(agentLeaf()).publicKey);
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.report, (keyid) => (keyid === sha256Hex(agentLeaf()) ? verifier : undefined));
  if (!opened.ok) throw new Error(opened.code);
  return hostReport.parse(JSON.parse(Buffer.from(opened.value.payload).toString('utf8')));
}

const hellos = (): readonly Hello[] => heard.filter((report): report is Hello => report.kind === 'hello');

/** Starts the agent again; its greeting is told by the transport key, since one of the last process may still be on its way. */
async function restart(): Promise<Hello> {
  const before = new Set(hellos().map((hello) => hello.publicKey));
  await agent.restart();
  return await eventually('the hello of the new process', () => hellos().findLast((hello) => !before.has(hello.publicKey)));
}

const inspect = (more: object = {}) => {
  const vm = `${A.domain}/${randomUUID()}`;
  const deadline = timestamp.parse(new Date(Date.now() + 60_000).toISOString());
  return Buffer.from(
    JSON.stringify(hostCommand.parse({ id: randomUUID(), host: A.host, deadline, step: 'inspect', vm, body: {}, ...more })),
  );
};
const send = async (
  payload: Uint8Array,
  signer: Signer,
  type: keyof typeof PAYLOAD_TYPES = 'command',
): Promise<HostReport | 'silence'> => {
  try {
    const bytes = signEnvelope(PAYLOAD_TYPES[type], payload, signer);
    return openReport((await broker.request(`host.${A.host}.command`, bytes, { timeout: 1_500 })).data);
  } catch (cause) {
    if (cause instanceof Error && /timeout/i.test(`${cause.name} ${cause.message}`)) return 'silence';
    throw cause;
  }
};

beforeAll(async () => {
  await createPki(pkiDir);
  const tls = { cert: join(pkiDir, 'bus/server.pem'), key: join(pkiDir, 'bus/server.key'), ca: join(pkiDir, 'root.pem') };
  own(tls.key, as);
  const members = [A, B].map(({ domain, host }) => ({ domain, hosts: [host] }));
  nats = await startNats({ dir: join(root, 'nats'), configText: busConfig({ busDomain: BUS, members, tls }) });
  machine = await startHost({
    dir: join(root, 'h'),
    name: 'h',
    user: as.identity.name,
    hostUuid: '00000001-aaaa-4bbb-8ccc-000000000001',
  });
  privateDir(tmpfs, as);
  config = prepare(A, machine, pkiDir, tmpfs, buildGuest({ dir: join(root, 'guest') }), 0);
  privateFile(configFile, toToml({ ...config, bus: { ...config.bus, url: nats.url.replace('nats://', 'tls://') } }), as);
  broker = await connectNats({
    servers: [nats.url],
    serverName: BUS,
    name: 'broker',
    tls: { cert: pem(`${A.domain}/broker.pem`), key: pem(`${A.domain}/broker.key`), ca: pem('root.pem') },
  });
  broker.subscribe(`host.${A.host}.report`, { callback: (_, message) => void heard.push(openReport(message.data)) });
  await broker.flush();
  const code = stageCode();
  agent = await startDaemon({
    name: 'agent',
    as,
    command: [code.node, join(code.root, 'apps/agent/src/main.ts'), '--config', configFile],
    env: nodeEnv(as),
    cwd: '/',
    logFile: join(root, 'agent.log'),
    stopSignal: 'SIGTERM',
    ready: () => heard.some((report) => report.kind === 'hello' && report.libvirt.connected),
  });
});
afterAll(async () => {
  await agent?.stop();
  await broker?.close();
  await nats?.stop();
  await machine?.stop();
  rmSync(tmpfs, { recursive: true, force: true });
});

describe('the agent as a process of its cloud’s user', () => {
  it('greets its broker: keys, data path, capacity, libvirt', () => {
    const hello = hellos().at(-1);
    expect(hello).toMatchObject({ domain: A.domain, host: A.host, libvirt: { connected: true, version: '9.0.0' }, vms: [] });
    expect(Buffer.from(hello?.publicKey ?? '', 'base64').length).toBeGreaterThan(1_000);
    expect(hello?.chain[0]).toBe(Buffer.from(agentLeaf()).toString('base64'));
    expect(hello?.capacity.memoryMiBFree).toBeGreaterThan(0);
  });

  it('answers its broker, and binds the answer to the command’s bytes', async () => {
    const payload = inspect();
    expect(await send(payload, signerOf(`${A.domain}/broker`))).toMatchObject({
      kind: 'reply',
      status: 'done',
      command: sha256Hex(payload),
      result: { step: 'inspect', state: 'absent' },
    });
    expect(await send(inspect({ host: 'other' }), signerOf(`${A.domain}/broker`))).toMatchObject({
      status: 'refused',
      code: 'COMMAND_MISDIRECTED',
    });
  });

  it('is silent to everybody else, and to bytes that only look like a command', async () => {
    expect(await send(inspect(), signerOf(`${A.domain}/operator`))).toBe('silence');
    expect(await send(inspect(), signerOf(`${B.domain}/broker`))).toBe('silence');
    expect(await send(inspect(), signerOf(`${A.domain}/broker`), 'evidence')).toBe('silence');
    expect(await send(Buffer.from('{"step":"inspect","step":"inspect"}'), signerOf(`${A.domain}/broker`))).toBe('silence');
    expect(await send(Buffer.from('{}'), signerOf(`${A.domain}/broker`))).toBe('silence');
  });

  it('hailed, it greets at once; hailed without end, not more often than twice a second', async () => {
    heard.length = 0;
    broker.publish(hailSubject(A.host));
    await eventually('the hello', () => (hellos().length > 0 ? true : undefined), 1_000);
    const before = hellos().length;
    for (let ms = 0; ms < 2_000; ms += 10) {
      broker.publish(hailSubject(A.host), 'whatever it says');
      await sleep(10);
    }
    expect(hellos().length - before).toBeGreaterThan(1);
    expect(hellos().length - before).toBeLessThanOrEqual(8);
  });

  it('goes on hearing its broker where it cannot make use of what it is told', async () => {
    const path = String(config.trust.brokerCertificateFile);
    const [whole, saidBefore] = [readFileSync(path), readFileSync(agent.logFile, 'utf8').length];
    writeFileSync(path, '-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n');
    try {
      broker.publish(crlSubject(A.host), signEnvelope(PAYLOAD_TYPES.crl, Buffer.from('{}'), signerOf(`${A.domain}/broker`)));
      await broker.flush();
      await eventually('the agent’s complaint', () =>
        readFileSync(agent.logFile, 'utf8').slice(saidBefore).includes('could not be kept') ? true : undefined,
      );
    } finally {
      writeFileSync(path, whole);
    }
    expect(await send(inspect(), signerOf(`${A.domain}/broker`))).toMatchObject({ status: 'done' });
  });

  it('stops in time, with its work done, also where the bus does not answer', async () => {
    await nats.kill('SIGSTOP');
    const [startedMs, saidBefore] = [performance.now(), readFileSync(agent.logFile, 'utf8').length];
    try {
      await agent.stop();
      expect(performance.now() - startedMs).toBeLessThan(9_000);
      expect(readFileSync(agent.logFile, 'utf8').slice(saidBefore)).toMatch(/draining/);
      expect(readFileSync(agent.logFile, 'utf8').slice(saidBefore)).not.toMatch(/drain (took too long|failed)/);
    } finally {
      await nats.kill('SIGCONT');
      await restart();
    }
  });

  it('SIGKILL and again: a new transport key, the same host, and nothing of what it was writing', async () => {
    const before = hellos().at(-1);
    await agent.kill('SIGKILL');
    // A lease or a share that ended would be taken for one that goes on.
    const leases = join(String(config.directories.state), 'leases');
    privateDir(leases, as);
    privateFile(join(leases, `${randomUUID()}-1.json.${randomUUID()}.partial`), '{}', as);
    const after = await restart();
    expect(after.host).toBe(before?.host);
    expect(await send(inspect(), signerOf(`${A.domain}/broker`))).toMatchObject({ status: 'done' });
    expect(readdirSync(leases)).toEqual([]);
  });

  it('checks its configuration and names every fault at once', () => {
    const code = stageCode();
    const run = (...args: readonly string[]) =>
      spawnSync(code.node, [join(code.root, 'apps/agent/src/main.ts'), ...args], { encoding: 'utf8' });
    expect(run('--config', configFile, '--check-config')).toMatchObject({ status: 0 });
    const bad = join(root, 'bad.toml');
    privateFile(bad, 'host = "A_1"\nsurprise = 1\n', as);
    const refused = run('--config', bad, '--check-config');
    expect(refused.status).toBe(78);
    for (const word of ['host', 'domain', 'identity', 'surprise']) expect(refused.stderr).toContain(word);
    expect(run().status).toBe(64);
  });
});
