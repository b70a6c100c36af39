import { setTimeout as sleep } from 'node:timers/promises';
import {
  artifactId,
  type Digest,
  digest,
  type Epoch,
  epoch,
  hostName,
  keyId,
  migrationId,
  PAYLOAD_TYPES,
  timestamp,
  trustDomain,
  vmId,
  vmSpec,
} from '@carnet/events';
import type { HostAgent } from '../agent/host-agent.ts';
import { type CommandOf, type HostStep, hostCommand } from '../command/command.ts';
import { grantedEpoch } from '../command/permit.ts';
import { type HostReply, hostReply } from '../command/report.ts';
import type { FakeHost, FakeHostOptions } from '../fake/host.ts';
import { fakeHost } from '../fake/host.ts';
import type { Clock } from '../ports/host-ports.ts';

export const VM = vmId.parse('csp-a.example/33333333-3333-4333-8333-333333333333');
export const UUID = '33333333-3333-4333-8333-333333333333';
export const DISK = artifactId.parse('11111111-1111-4111-8111-111111111111');
export const KEY = keyId.parse('22222222-2222-4222-8222-222222222222');
export const VTPM = artifactId.parse('66666666-6666-4666-8666-666666666666');
export const VTPM_KEY = keyId.parse('77777777-7777-4777-8777-777777777777');
export const MEMORY = artifactId.parse('44444444-4444-4444-8444-444444444444');
export const MEMORY_KEY = keyId.parse('44444444-4444-4444-8444-444444444444');
export const MIGRATION = migrationId.parse('0190aaaa-0000-7000-8000-000000000001');
export const BECAUSE: Digest = digest.parse('b'.repeat(64));
export const UNTIL = timestamp.parse('2030-01-01T00:00:00.000Z');
export const CAPACITY = 1_048_576;

export const SPEC = vmSpec.parse({
  name: 'demo',
  vcpus: 1,
  memoryMiB: 64,
  machine: 'pc-q35-7.2',
  cpuModel: 'qemu64',
  boot: { kind: 'disk' },
  disks: [{ artifact: DISK, target: 'vda', format: 'qcow2', capacityBytes: CAPACITY, key: KEY }],
  tpm: { artifact: VTPM, key: VTPM_KEY },
});

/** The fake's secrets are plain keys in base64. */
export const secretOf = (key: typeof KEY, fill: number) => ({ key, sealed: Buffer.alloc(32, fill).toString('base64') });
export const SECRET = secretOf(KEY, 7);
const VTPM_SECRET = secretOf(VTPM_KEY, 6);
/** All that a start of `SPEC` needs. */
export const SECRETS = [SECRET, VTPM_SECRET];
/** What the target puts in place of the disk's key. */
export const NEW_KEY = keyId.parse('55555555-5555-4555-8555-555555555555');
export const NEW_SECRET = secretOf(NEW_KEY, 8);
export const NEW_SECRETS = [NEW_SECRET, VTPM_SECRET];
export const NEW_SPEC = vmSpec.parse({ ...SPEC, disks: SPEC.disks.map((disk) => ({ ...disk, key: NEW_KEY })) });
export const MEMORY_SECRET = { artifact: MEMORY, secret: secretOf(MEMORY_KEY, 9) };

/** Real time, but nobody waits long: a test's clock only has to move. */
export const quickClock: Clock = {
  now: () => timestamp.parse(new Date(Date.parse('2026-11-23T10:00:00.000Z') + Math.floor(performance.now())).toISOString()),
  sleep: async (ms, signal) => {
    await sleep(Math.min(ms, 5), undefined, { signal });
  },
};

export const hostA = (options: Partial<FakeHostOptions> = {}): FakeHost =>
  fakeHost({ domain: trustDomain.parse('csp-a.example'), host: hostName.parse('a1'), clock: quickClock, ...options });
export const hostB = (options: Partial<FakeHostOptions> = {}): FakeHost =>
  fakeHost({ domain: trustDomain.parse('csp-b.example'), host: hostName.parse('b1'), clock: quickClock, ...options });

let commands = 0;
const nextId = (): string => {
  commands += 1;
  return `00000000-0000-4000-8000-${String(commands).padStart(12, '0')}`;
};

/** What a broker signs along with whatever lets a VM run. The fake looks at no signature. */
export const permitOf = (host: string, runs: number, vm: string = VM) => ({
  payloadType: PAYLOAD_TYPES.runPermit,
  payload: Buffer.from(JSON.stringify({ host, vm, epoch: runs, time: UNTIL })).toString('base64'),
  signatures: [{ keyid: 'fake', sig: Buffer.alloc(32).toString('base64') }],
});

const OF_NO_VM: ReadonlySet<HostStep> = new Set(['listImages', 'registerImage', 'verifyImage']);
export const draft = (host: string, step: HostStep, body: unknown, more: object = {}) => {
  const of = OF_NO_VM.has(step) ? {} : { vm: VM };
  const command = hostCommand.parse({ id: nextId(), host, deadline: UNTIL, step, ...of, body, ...more });
  const runs = grantedEpoch(command);
  return runs === undefined ? command : hostCommand.parse({ permit: permitOf(host, runs), ...command });
};

export const ofEpoch = (n: number) => ({ migration: MIGRATION, epoch: epoch.parse(n), attempt: 1, because: BECAUSE });
export const first: Epoch = epoch.parse(1);

/** Asks until the step is no longer running; what goes over the wire must pass its own schema. */
export async function ask(agent: HostAgent, host: string, step: HostStep, body: unknown, more: object = {}): Promise<HostReply> {
  const command = draft(host, step, body, more);
  for (;;) {
    const reply = hostReply.parse(JSON.parse(JSON.stringify(await agent.handle(command))));
    if (reply.status !== 'running') return reply;
  }
}

export type Bodies = { readonly [S in HostStep]?: CommandOf<S>['body'] };
