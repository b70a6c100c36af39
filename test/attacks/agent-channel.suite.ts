import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { PAYLOAD_TYPES } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { leafSigner, readPem } from '@carnet/pki';
import { type Signer, signEnvelope } from '@carnet/trust';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { busAddress } from '../faults/harness/clouds.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';
import { clouds, saysOnce, truthOfA } from './rig.ts';
import { payloadOf } from './rogue-peer.ts';

/** An intruder who speaks on the bus as A's broker does, and lacks only its key: a stolen session, or the bus itself. */
let bus: NatsConnection;
/** It left A and came back, so its first epoch is over. */
let vm: Vm;

beforeAll(async () => {
  bus = await connectNats(busAddress(clouds.pki, clouds.bus, CSP_A.domain, 'broker'));
});
afterAll(() => bus?.close());

const signerOf = (domain: string, name: string): Signer => {
  const read = (kind: string): string => readFileSync(join(clouds.pki, domain, `${name}.${kind}`), 'utf8');
  return leafSigner(read('key'), readPem(read('pem'), 'CERTIFICATE')[0] ?? new Uint8Array());
};
const brokerOfA = (): Signer => signerOf(CSP_A.domain, 'broker');
const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();
const common = () => ({ id: randomUUID(), host: HOST, deadline: inMs(60_000) });
const listImages = () => ({ ...common(), step: 'listImages', body: {} });
const signed = (command: object | string, signer = brokerOfA(), type: string = PAYLOAD_TYPES.command): Uint8Array =>
  signEnvelope(type, Buffer.from(typeof command === 'string' ? command : JSON.stringify(command)), signer);
const answerTo = async (command: Uint8Array) =>
  payloadOf((await bus.request(`host.${HOST}.command`, command, { timeout: 5_000 })).data);

/** What the host keeps for ever: fence register, step logs, records of VMs, leases. */
function registers(): Readonly<Record<string, string>> {
  const { agentState } = clouds.a.paths;
  const files = ['fence', 'steps', 'vms', 'leases', 'crls'].flatMap((dir) => {
    const found = readdirSync(agentState).includes(dir)
      ? readdirSync(join(agentState, dir), { recursive: true, encoding: 'utf8' })
      : [];
    return found.map((name) => join(agentState, dir, name)).filter((file) => statSync(file).isFile());
  });
  return Object.fromEntries(files.map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]));
}
const everything = async (): Promise<unknown> => ({ truth: await truthOfA(), registers: registers() });
async function changesNothing(attack: () => Promise<unknown>): Promise<void> {
  const before = await everything();
  await attack();
  expect(await everything()).toEqual(before);
}

describe('a command to a host, valid but for one thing', () => {
  it('control: signed by A’s broker, it is answered', async () =>
    expect(await answerTo(signed(listImages()))).toMatchObject({ kind: 'reply', status: 'done' }));

  it.each<readonly [string, string, () => Uint8Array]>([
    ['signed by A’s operator', 'NOT_SIGNED_BY_BROKER', () => signed(listImages(), signerOf(CSP_A.domain, 'operator'))],
    ['signed by a host', 'NOT_SIGNED_BY_BROKER', () => signed(listImages(), signerOf(CSP_A.domain, `agent-${HOST}`))],
    ['signed by B’s broker', 'NOT_SIGNED_BY_BROKER', () => signed(listImages(), signerOf(CSP_B.domain, 'broker'))],
    ['signed as another kind of thing', 'NOT_SIGNED_BY_BROKER', () => signed(listImages(), brokerOfA(), PAYLOAD_TYPES.request)],
    ['not signed', 'NOT_SIGNED_BY_BROKER', () => Buffer.from(JSON.stringify(listImages()))],
    ['larger than any command', 'TOO_LARGE', () => Buffer.alloc(200_000, 'x')],
    ['that says two steps', 'JSON', () => signed(JSON.stringify(listImages()).replace('"step"', '"step":"deleteVm","step"'))],
    ['with a number beyond 2^53', 'JSON', () => signed(JSON.stringify(listImages()).replace('{}', '{"n":9007199254740993}'))],
    ['with a lone surrogate', 'JSON', () => signed(JSON.stringify(listImages()).replace('{}', '{"n":"\\ud800"}'))],
    ['with a field too many', 'SCHEMA', () => signed({ ...listImages(), force: true })],
    ['with a NATS wildcard as its host', 'SCHEMA', () => signed({ ...listImages(), host: '*' })],
    ['for a VM whose id is a path', 'SCHEMA', () => signed({ ...listImages(), step: 'deleteVm', vm: 'csp-a.example/../../x' })],
    [
      'for an import that is a path',
      'SCHEMA',
      () => {
        const secret = { key: randomUUID(), sealed: '' };
        return signed({ ...listImages(), step: 'registerImage', body: { name: 'x', file: '../../etc/shadow', secret } });
      },
    ],
  ])('%s: ignored, %s', (_name, why, command) =>
    changesNothing(() => saysOnce('agentLog', `"why":"${why}"`, async () => bus.publish(`host.${HOST}.command`, command()))));

  it.each<readonly [string, string, () => object]>([
    ['for another host', 'COMMAND_MISDIRECTED', () => ({ ...listImages(), host: 'hv2' })],
    ['recorded long ago', 'COMMAND_EXPIRED', () => ({ ...listImages(), deadline: inMs(-1_000) })],
  ])('%s: %s', (_name, code, command) =>
    changesNothing(async () => expect(await answerTo(signed(command()))).toMatchObject({ status: 'refused', code })));
});

describe('a command of another epoch, under the broker’s own signature', () => {
  beforeAll(async () => {
    const { a, b } = clouds;
    vm = await createVm(a);
    await settled(clouds, await intend(a, b, vm, 'cold'), 60_000);
    await settled(clouds, await intend(b, a, vm, 'cold'), 60_000);
  });
  const stale = (step: string, body: object, attempt = 1) => {
    const because = 'b0'.repeat(32);
    return { ...common(), step, vm: vm.vm, migration: '01a00000-0000-7000-8000-000000000001', epoch: 1, attempt, because, body };
  };
  const proof = { kind: 'withdrawn', event: 'e0'.repeat(32) };

  it.each<readonly [string, string, () => object]>([
    ['resumes it', 'EPOCH_FENCED', () => stale('resume', { proof, secrets: [] })],
    ['swears that it never runs', 'EPOCH_FENCED', () => stale('forswear', {})],
    ['stops it', 'EPOCH_FENCED', () => stale('quiesce', { mode: 'suspend', graceSeconds: 0 })],
    ['destroys its volumes', 'EPOCH_FENCED', () => stale('destroy', {})],
    [
      'receives over it, in an epoch that nobody offered',
      'VM_PRESENT',
      () => {
        const artifacts = [{ artifact: randomUUID(), kind: 'disk', sizeBytes: 4_096, chunkBytes: 4_096, root: 'f0'.repeat(32) }];
        const dataPath = { address: '127.0.0.1', port: 9, serverName: 'hv1.csp-b.example' };
        return { ...stale('receive', { round: 0, dataPath, peer: ['AA=='], artifacts }), epoch: 9 };
      },
    ],
  ])('%s: %s', (_name, code, command) =>
    changesNothing(async () => {
      expect(await answerTo(signed(command()))).toMatchObject({ status: 'refused', code });
      expect(clouds.a.host.domain(vm.uuid)?.state).toBe('running');
    }));
});

describe('a report that is not of the host it names', () => {
  const heardNext = (): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      const taken = bus.subscribe(`host.${HOST}.report`, {
        max: 1,
        callback: (error, message) => (error ? reject(error) : resolve(message.data)),
      });
      bus.publish(`host.${HOST}.hail`);
      setTimeout(() => taken.unsubscribe(), 15_000).unref();
    });
  const said = (report: Uint8Array) =>
    changesNothing(() =>
      saysOnce('brokerLog', '"code":"REPORT_UNTRUSTED"', async () => bus.publish(`host.${HOST}.report`, report)),
    );
  const hello = async () => ({ ...payloadOf(await heardNext()), time: inMs(0) });

  it.each([
    ['A’s operator', CSP_A.domain, 'operator'],
    ['B’s host of the same name', CSP_B.domain, `agent-${HOST}`],
    ['A’s broker', CSP_A.domain, 'broker'],
  ])('signed by %s: REPORT_UNTRUSTED', async (_name, domain, who) =>
    said(signed(await hello(), signerOf(domain, who), PAYLOAD_TYPES.report)));

  it('a recording: REPORT_UNTRUSTED', async () => {
    const old = await heardNext();
    await eventually('a newer hello', async () => (Buffer.from(await heardNext()).equals(Buffer.from(old)) ? undefined : true));
    await said(old);
  });

  it('a revocation list that the broker did not sign over: CRL_UNTRUSTED', () =>
    changesNothing(() =>
      saysOnce('agentLog', '"code":"CRL_UNTRUSTED"', async () => {
        const list = readFileSync(join(clouds.a.paths.crls, 'root.der'));
        bus.publish(`host.${HOST}.crl`, signEnvelope(PAYLOAD_TYPES.crl, list, signerOf(CSP_A.domain, 'operator')));
      }),
    ));
});

describe('a host that speaks or listens beyond its own subjects, refused by NATS', () => {
  it.each<readonly [string, (connection: NatsConnection) => void]>([
    ['as another host', (connection) => connection.publish('host.hv2.report')],
    ['to the peer', (connection) => connection.publish('peer.csp-a_example.csp-b_example')],
    ['to other hosts’ commands', (connection) => void connection.subscribe('host.>', { callback: () => undefined })],
    ['to the federation', (connection) => void connection.subscribe('fed.>', { callback: () => undefined })],
    ['to what others are answered', (connection) => void connection.subscribe('_INBOX.>', { callback: () => undefined })],
  ])('%s', async (_name, attempt) => {
    const connection = await connectNats(busAddress(clouds.pki, clouds.bus, CSP_A.domain, `agent-${HOST}`));
    const heard: string[] = [];
    void (async () => {
      for await (const change of connection.status()) if (change.type === 'error') heard.push(String(change.error));
    })();
    try {
      await changesNothing(async () => {
        attempt(connection);
        await connection.flush();
        await eventually('NATS’s refusal', () => heard.find((text) => /permission/i.test(text)), 3_000);
      });
    } finally {
      await connection.close();
    }
  });
});
