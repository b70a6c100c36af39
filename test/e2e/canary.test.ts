import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, lastTick } from '@carnet/dev';
import { hostName, keyId, timestamp, vmId } from '@carnet/events';
import { createHostKeyPair, openForHost, openKeyManager } from '@carnet/keys';
import type { BrokerClient } from '@carnet/publisher';
import { openStore } from '@carnet/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Csp } from '../../infra/dev/src/clouds/csp.ts';
import { type Federation, startFederation } from '../../infra/dev/src/clouds/federation.ts';
import { clientOf } from '../faults/harness/cloud.ts';
import { intentOf, must, settled } from '../faults/harness/moves.ts';

let federation: Federation;
let a: { readonly csp: Csp; readonly api: BrokerClient };
let b: typeof a;
let vm: string;
let needles: readonly { readonly name: string; readonly bytes: Buffer }[] = [];
/** Arguments and environments of every process of both clouds, seen again and again while the VM moved. */
const seen = new Set<string>();

const sideOf = (csp: Csp): typeof a => ({ csp, api: clientOf(csp.paths, csp.plan, csp.ports.http, 'operator') });

/** Everything that /proc tells others of this federation's processes. */
function lookAtProcesses(): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      const parent = readFileSync(`/proc/${pid}/status`, 'utf8');
      if (!/^Name:\t(node|qemu|postgres|libvirtd|nats)/.test(parent) && !command.includes(federation.root)) continue;
      seen.add(command);
      seen.add(environment);
    } catch {
      // It ended between the listing and this look, or is another user's.
    }
  }
}

/** The VM's DEK, the only way there is: sealed by its key manager to a host key, which this test holds. */
async function dekOf({ csp }: typeof a, key: string): Promise<Buffer> {
  const { paths, plan, database } = csp;
  const now = () => timestamp.parse(new Date().toISOString());
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
  const store = await openStore({ url: database.url, applicationName: 'canary', log: silent });
  const opened = await openKeyManager({
    store,
    root: { kind: 'file', path: paths.keyRoot, unlock: { kind: 'file', path: paths.passphrase } },
    spareDir: join(paths.brokerState, 'spares'),
    domain: plan.domain,
    actor: `spiffe://${plan.domain}/broker`,
    now,
    random: randomBytes,
  });
  if (!opened.ok) throw new Error(opened.code);
  const pair = await createHostKeyPair();
  const context = { domain: plan.domain, host: hostName.parse('hv1'), vm: vmId.parse(vm), epoch: 0, purpose: 'run' } as const;
  const sealed = await opened.value.sealForHost({
    context,
    keys: [{ key: keyId.parse(key), version: 1 }],
    publicKey: pair.publicKey,
    grant: { principal: 'canary', reason: 'VM_START' },
  });
  if (!sealed.ok) throw new Error(sealed.code);
  const deks = await openForHost(pair.privateKey, context, sealed.value);
  opened.value.close();
  await store.close();
  if (!deks.ok || deks.value[0] === undefined) throw new Error('the test’s own host key opens what was sealed to it');
  return Buffer.from(deks.value[0].dek);
}

beforeAll(async () => {
  federation = await startFederation({ logLevel: 'debug' });
  [a, b] = [sideOf(federation.a), sideOf(federation.b)];
  await eventually('hosts that are up', async () => {
    const hosts = await Promise.all(
      [a, b].map(({ api }) => api.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/hosts')),
    );
    return hosts.every((answer) => answer.ok && answer.value.items.some(({ state }) => state === 'up')) ? true : undefined;
  });
  const { kernelSha256: kernel, initrdSha256: initrd, commandLine: cmdline } = federation.guest;
  const watching = new AbortController();
  const watch = (async () => {
    while (!watching.signal.aborted) {
      lookAtProcesses();
      await sleep(50);
    }
  })();
  const body = {
    name: 'canary',
    capacityBytes: 8_388_608,
    vcpus: 1,
    memoryMiB: 256,
    boot: { kind: 'kernel', kernel, initrd, cmdline },
    start: true,
  };
  const made = must(
    await a.api.post<{ readonly vm: string; readonly spec: { readonly disks: readonly { readonly key: string }[] } }>(
      '/v1/vms',
      body,
    ),
  );
  vm = made.vm;
  const consoleAt = ({ csp }: typeof a): string => join(csp.paths.volumes, vm.split('/')[1] ?? '', 'serial.log');
  await eventually('a guest that ticks', () => lastTick(consoleAt(a)), 60_000);
  const asked = intentOf(vm, b.csp.plan.domain, 'suspend');
  must(await a.api.post('/v1/intents', asked));
  expect(await settled({ a, b }, asked.data.migration, 120_000)).toMatchObject({ outcome: 'done' });
  await eventually('a guest that ticks at B', () => lastTick(consoleAt(b)), 60_000);
  watching.abort();
  await watch;
  const dek = await dekOf(b, made.spec.disks[0]?.key ?? '');
  needles = [
    { name: 'the DEK', bytes: dek },
    { name: 'its hex, the LUKS passphrase', bytes: Buffer.from(dek.toString('hex')) },
    { name: 'its hex in capitals', bytes: Buffer.from(dek.toString('hex').toUpperCase()) },
    { name: 'its base64', bytes: Buffer.from(dek.toString('base64').replace(/=+$/, '')) },
    { name: 'its base64url', bytes: Buffer.from(dek.toString('base64url')) },
    // A log of a Buffer or Uint8Array prints its bytes as numbers.
    { name: 'its bytes in decimal', bytes: Buffer.from([...dek].slice(0, 16).join(',')) },
    ...[a, b].map(({ csp }) => ({
      name: `the root’s passphrase of ${csp.plan.domain}`,
      bytes: readFileSync(csp.paths.passphrase),
    })),
  ];
}, 300_000);

afterAll(async () => {
  for (const side of [a, b]) side?.api.close();
  await federation?.stop();
});

const hits = (where: string, content: Buffer): readonly string[] =>
  needles.flatMap(({ name, bytes }) => (content.includes(bytes) ? [`${name} in ${where}`] : []));

function filesBelow(dir: string): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
  );
}

describe('after a migration with memory, the key that moved is nowhere in the clear', () => {
  it('on no disk: no log, no table, no write-ahead log, no stream, no volume, no state, no tmpfs', () => {
    const dirs = [
      federation.root,
      ...[a, b].map(({ csp }) => join('/dev/shm', `${federation.root.split('/').at(-1)}-${csp.plan.key}`)),
    ];
    const files = dirs.flatMap(filesBelow).filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true);
    const own = new Set([a, b].map(({ csp }) => csp.paths.passphrase));
    expect(files.length).toBeGreaterThan(1_000);
    expect(files.filter((file) => !own.has(file)).flatMap((file) => hits(file, readFileSync(file)))).toEqual([]);
    // The search finds what is there.
    for (const file of own) expect(hits(file, readFileSync(file))).toHaveLength(1);
  });

  it('in no dump of either database, as pg_dump writes it', () => {
    for (const { csp } of [a, b]) {
      const dump = execFileSync('pg_dump', ['--dbname', csp.database.url], { maxBuffer: 268_435_456 });
      expect(dump.includes('KeyDeposited')).toBe(true);
      // bytea is dumped as hex.
      const twice = needles.map(({ name, bytes }) => ({ name: `${name}, as bytea`, bytes: Buffer.from(bytes.toString('hex')) }));
      expect([...hits('the dump', dump), ...twice.flatMap(({ name, bytes }) => (dump.includes(bytes) ? [name] : []))]).toEqual(
        [],
      );
    }
  });

  it('in no argument and no environment of any process', () => {
    expect([...seen].some((text) => text.includes('qemu-system'))).toBe(true);
    expect([...seen].some((text) => text.includes('qemu-i'))).toBe(true);
    expect([...seen].flatMap((text) => hits(text.slice(0, 80), Buffer.from(text)))).toEqual([]);
  });

  it('in no answer of the broker: exports, events, keys, metrics', async () => {
    for (const { csp, api } of [a, b]) {
      const lines: string[] = [];
      for await (const line of api.lines('/v1/export')) lines.push(line);
      const answers = await Promise.all(
        ['/v1/keys', '/v1/events', '/v1/vms', '/v1/hosts', '/v1/migrations'].map((path) => api.get(path)),
      );
      const metrics = await (await fetch(`http://127.0.0.1:${csp.ports.ops}/metrics`)).text();
      const payloads = lines.map((line) => decoded(line));
      expect(payloads.join('')).toContain('KeyReleased');
      expect(hits('an answer', Buffer.from([...lines, ...payloads, JSON.stringify(answers), metrics].join('\n')))).toEqual([]);
    }
  });
});

/** The signed payload inside an exported line. */
function decoded(line: string): string {
  const { envelope } = JSON.parse(line) as { readonly envelope?: string };
  if (envelope === undefined) return '';
  const { payload } = JSON.parse(Buffer.from(envelope, 'base64').toString('utf8')) as { readonly payload: string };
  return Buffer.from(payload, 'base64').toString('utf8');
}
