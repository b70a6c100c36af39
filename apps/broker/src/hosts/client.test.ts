import { GENESIS, PAYLOAD_TYPES, timestamp, vmId } from '@carnet/events';
import { type HostReport, runPermit } from '@carnet/hypervisor';
import { validatePath } from '@carnet/pki';
import { openEnvelope, signEnvelope } from '@carnet/trust';
import type { Msg, NatsConnection } from 'nats';
import { pino } from 'pino';
import { beforeAll, describe, expect, it } from 'vitest';
import { FIRST_EPOCH, migration } from '../../../../libs/saga/src/testing.ts';
import { A, B, type Certified, certified, HOST, NOW, NOW_MS } from '../perform/testing/certified.ts';
import { HELLO_MS_OFF_MAX, openHostClient } from './client.ts';
import { HAILED_MS_MAX } from './registry.ts';
import { agentSpiffeId, type CommandDraft } from './wire.ts';

let pki: Certified;
beforeAll(async () => {
  pki = await certified();
}, 120_000);

/** A broker's client, and a bus on which anybody can speak. */
function listening(revoked = () => false) {
  let nowMs = NOW_MS;
  let speak: (bytes: Uint8Array) => void = () => undefined;
  const heard: HostReport[] = [];
  let asked = 0;
  const bus = {
    subscribe: (_: string, { callback }: { callback: (error: null, message: Pick<Msg, 'data'>) => void }) => {
      speak = (data) => callback(null, { data });
      return { unsubscribe: () => undefined };
    },
    publish: () => undefined,
    status: async function* () {
      yield* [];
    },
    request: async () => {
      asked += 1;
      throw new Error('no responders');
    },
  } as unknown as NatsConnection;
  const client = openHostClient({
    bus,
    domain: A,
    hosts: [HOST],
    signer: pki.leafOf(A, 'broker').signer,
    validateAgent: (chain, host) => {
      const path = validatePath({ ...pki.trust, chain, at: NOW, trustDomain: A, spiffeId: agentSpiffeId(A, host) });
      return path.ok && !revoked() ? path.value : undefined;
    },
    nowMs: () => nowMs,
    log: pino({ level: 'silent' }),
    onReport: (_, report) => void heard.push(report),
  });
  return { client, heard, pass: (ms: number) => (nowMs += ms), say: (bytes: Uint8Array) => speak(bytes), asked: () => asked };
}

const at = (ms: number) => timestamp.parse(new Date(ms).toISOString());
const signedBy = (name: string, said: object, domain = A): Uint8Array =>
  signEnvelope(PAYLOAD_TYPES.report, Buffer.from(JSON.stringify(said)), pki.leafOf(domain, name).signer);
const hello = (ms = NOW_MS, publicKey = 'AA==') => ({
  kind: 'hello',
  domain: A,
  host: HOST,
  time: at(ms),
  agent: '1b4e28ba-2fa1-41d2-883f-0016d3cca427',
  publicKey,
  chain: pki.leafOf(A, `agent-${HOST}`).chain,
  dataPath: { address: '127.0.0.1', port: 1, serverName: 'host-1' },
  capacity: { memoryMiBFree: 1, volumeBytesFree: 1, memoryMiBReserved: 0, volumeBytesReserved: 0 },
  libvirt: { connected: true, version: '9' },
  vms: [],
  secretsMissing: [],
});
const notice = { kind: 'notice', domain: A, host: HOST, time: NOW, event: 'started', detail: 'x' };

describe('what comes from a host', () => {
  it('takes hellos of one time as parts of one, what is said twice once, and of a later time as all there is', () => {
    const { client, say } = listening();
    const vm = (n: number) => ({ vm: vmId.parse(`${A}/00000000-0000-4000-8000-00000000000${n}`), state: 'running' });
    const part = (ms: number, ...numbers: readonly number[]) =>
      say(signedBy(`agent-${HOST}`, { ...hello(ms), vms: numbers.map(vm) }));
    const named = () => client.registry.hello(HOST)?.vms.map((one) => Number(one.vm.at(-1)));
    part(NOW_MS, 1, 2);
    part(NOW_MS, 3);
    part(NOW_MS, 3);
    expect(named()).toEqual([1, 2, 3]);
    part(NOW_MS + 1, 2);
    expect(named()).toEqual([2]);
  });

  it('counts when its own agent signed it', () => {
    const world = listening();
    world.say(signedBy(`agent-${HOST}`, hello()));
    world.say(signedBy(`agent-${HOST}`, notice));
    expect([world.client.registry.isUp(HOST), world.heard.map(({ kind }) => kind)]).toEqual([true, ['hello', 'notice']]);
  });

  it.each<readonly [string, () => Uint8Array]>([
    ['another host’s agent', () => signedBy('agent-host-2', { ...hello(), chain: pki.leafOf(A, 'agent-host-2').chain })],
    ['another CSP’s agent', () => signedBy(`agent-${HOST}`, { ...hello(), chain: pki.leafOf(B, `agent-${HOST}`).chain }, B)],
    ['the broker itself', () => signedBy('broker', { ...hello(), chain: pki.leafOf(A, 'broker').chain })],
    ['one who shows another’s chain', () => signedBy('agent-host-2', hello())],
    ['nobody', () => Buffer.from('{}')],
    ['a recording of long ago', () => signedBy(`agent-${HOST}`, hello(NOW_MS - HELLO_MS_OFF_MAX - 1))],
    ['a clock far ahead', () => signedBy(`agent-${HOST}`, hello(NOW_MS + HELLO_MS_OFF_MAX + 1))],
  ])('does not when it is of %s', (_, bytes) => {
    const world = listening();
    world.say(bytes());
    expect([world.client.registry.hello(HOST), world.client.registry.isUp(HOST)]).toEqual([undefined, false]);
  });

  it('settles who is there: once each host was heard since it was hailed, or has had its time', () => {
    const world = listening();
    expect(world.client.registry.isSettled()).toBe(false);
    world.say(signedBy(`agent-${HOST}`, hello()));
    expect(world.client.registry.isSettled()).toBe(true);
    world.pass(1_000);
    world.client.registry.hailed(NOW_MS + 1_000);
    expect(world.client.registry.isSettled(), 'the bus was away: what was heard is of before').toBe(false);
    world.pass(HAILED_MS_MAX);
    expect(world.client.registry.isSettled()).toBe(true);
  });

  it('an older hello counts once our clock was set back: both were ahead, and the host has begun anew meanwhile', () => {
    const world = listening();
    const [AHEAD_MS, LATER_MS] = [120_000, 1_000];
    world.pass(AHEAD_MS);
    world.say(signedBy(`agent-${HOST}`, hello(NOW_MS + AHEAD_MS, 'T0xE')));
    world.pass(-AHEAD_MS);
    world.say(signedBy(`agent-${HOST}`, hello(NOW_MS, 'TkVX')));
    expect(world.client.registry.hello(HOST)?.publicKey).toBe('TkVX');
    world.pass(LATER_MS);
    world.say(signedBy(`agent-${HOST}`, hello(NOW_MS - 5_000, 'T0xE')));
    expect(world.client.registry.hello(HOST)?.publicKey).toBe('TkVX');
  });

  it('an older hello that is played again brings no old key back', () => {
    const world = listening();
    const old = signedBy(`agent-${HOST}`, hello(NOW_MS - 5_000, 'T0xE'));
    world.say(old);
    world.say(signedBy(`agent-${HOST}`, hello(NOW_MS, 'TkVX')));
    world.say(old);
    expect([world.client.registry.hello(HOST)?.publicKey, world.heard.length]).toEqual(['TkVX', 2]);
  });

  it('is not believed any more once its certificate is revoked', () => {
    let isRevoked = false;
    const world = listening(() => isRevoked);
    world.say(signedBy(`agent-${HOST}`, hello()));
    isRevoked = true;
    world.pass(11_000);
    world.say(signedBy(`agent-${HOST}`, notice));
    expect(world.heard.map(({ kind }) => kind)).toEqual(['hello']);
  });
});

describe('asking a host', () => {
  it('that was not heard of lately answers at once that it is silent, and keeps nobody waiting', async () => {
    const world = listening();
    const command = world.client.sign({ step: 'listImages', host: HOST, body: {} });
    expect([await world.client.ask(command), world.asked()]).toMatchObject([{ status: 'silent' }, 0]);
    world.say(signedBy(`agent-${HOST}`, hello()));
    await world.client.ask(command);
    world.pass(31_000);
    await world.client.ask(command);
    expect(world.asked()).toBe(1);
  });
});

describe('a command after which a host may run a VM', () => {
  const vm = vmId.parse('csp-a.example/33333333-3333-4333-8333-333333333333');
  /** The permit, if our broker's own leaf signed it and no other. */
  const granted = (draft: CommandDraft) => {
    const { command } = listening().client.sign(draft);
    if (!('permit' in command) || command.permit === undefined) return undefined;
    const path = validatePath({ ...pki.trust, chain: pki.leafOf(A, 'broker').chain, at: NOW, trustDomain: A });
    const opened = openEnvelope(Buffer.from(JSON.stringify(command.permit)), PAYLOAD_TYPES.runPermit, (keyid) =>
      path.ok && keyid === path.value.leafDigest ? path.value.verifier : undefined,
    );
    if (!opened.ok) throw new Error(opened.code);
    return runPermit.parse(JSON.parse(Buffer.from(opened.value.payload).toString('utf8')));
  };

  it('brings a permit that is signed by itself, for this VM, host and epoch; any other brings none', () => {
    const to = { host: HOST, vm } as const;
    const attempt = { migration: migration(1), epoch: FIRST_EPOCH, attempt: 1, because: GENESIS } as const;
    const proof = { kind: 'withdrawn', event: GENESIS } as const;
    const of = (epoch: number) => ({ host: HOST, vm, epoch, time: NOW });
    expect(granted({ ...to, step: 'startVm', body: { secrets: [], epoch: 4 } })).toEqual(of(4));
    expect(granted({ ...to, ...attempt, step: 'resume', body: { proof, secrets: [] } })).toEqual(of(FIRST_EPOCH));
    expect(granted({ ...to, step: 'startVm', body: { secrets: [] } })).toBeUndefined();
    expect(granted({ ...to, step: 'stopVm', body: { graceSeconds: 0 } })).toBeUndefined();
    expect(granted({ ...to, ...attempt, step: 'surrender', body: {} })).toBeUndefined();
  });
});
