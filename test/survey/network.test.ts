import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { eventually, hold, scratch } from '@carnet/dev';
import { createFederationPki, rememberedRsaKeys } from '@carnet/pki';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUS_DOMAIN, CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { sniff } from './sniffer.ts';

const PORT = 16_600;
const [MIGRATION_A, MIGRATION_B] = ['10.77.0.1', '10.77.0.2'];
const [PUBLIC_A, ELSEWHERE] = ['192.0.2.1', '192.0.2.2'];
const MARKER = Buffer.from('a word that no middle box may read');

const root = scratch('network');
const pki = join(root, 'pki');
const place = (name: string): string => `carnet-${process.pid}-${name}`;
const [A, B, C] = [place('a'), place('b'), place('c')];
const inside = (name: string): readonly string[] => ['ip', 'netns', 'exec', name];
const ip = (...args: readonly string[]): void => void execFileSync('ip', [...args], { stdio: ['ignore', 'ignore', 'inherit'] });
const image = join(root, 'image');

/** A and B share a migration network; A has another interface, to a network where a stranger is who knows a route. */
function makeNetworks(): void {
  for (const name of [A, B, C]) ip('netns', 'add', name);
  const link = (device: string, one: readonly [string, string], other: readonly [string, string]): void => {
    ip('link', 'add', device, 'netns', one[0], 'type', 'veth', 'peer', 'name', device, 'netns', other[0]);
    for (const [name, address] of [one, other]) {
      ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', device);
      ip('-n', name, 'link', 'set', device, 'up');
    }
  };
  link('mig0', [A, MIGRATION_A], [B, MIGRATION_B]);
  link('pub0', [A, PUBLIC_A], [C, ELSEWHERE]);
  ip('-n', C, 'route', 'add', `${MIGRATION_A}/32`, 'via', PUBLIC_A);
}
const removeNetworks = (): void => {
  for (const name of [A, B, C]) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
};

const identity = (domain: string) => ({
  certificateFile: join(pki, domain, `agent-${HOST}.pem`),
  keyFile: join(pki, domain, `agent-${HOST}.key`),
});

/** The command that starts one end of the data path there. */
function end(name: string, does: 'serve' | 'pull', network: object): readonly string[] {
  const [own, peer] = does === 'serve' ? [CSP_A, CSP_B] : [CSP_B, CSP_A];
  const file = join(root, `${does}-${Math.trunc(performance.now() * 1_000)}.json`);
  const what = {
    does,
    dir: `${file}.state`,
    pki,
    own: identity(own.domain),
    peer: identity(peer.domain),
    network: { port: does === 'serve' ? PORT : 0, serverName: `${HOST}.${own.domain}`, ...network },
    image,
    into: join(root, 'arrived'),
  };
  writeFileSync(file, JSON.stringify(what));
  return [
    ...inside(name),
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'network-end.ts'),
    file,
  ];
}
const runs = ([program = '', ...args]: readonly string[]) => spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });

let said = '';
let stopServing: () => void = () => undefined;

beforeAll(async () => {
  hold({ name: 'network namespaces', stop: async () => removeNetworks(), stopBlocking: removeNetworks });
  makeNetworks();
  writeFileSync(image, Buffer.concat([MARKER, randomBytes(1_048_576), MARKER]));
  await createFederationPki({
    dir: pki,
    domains: [CSP_A, CSP_B].map(({ domain }) => ({ domain, hosts: [HOST] })),
    busDomain: BUS_DOMAIN,
    nowMs: Date.now(),
    random: randomBytes,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });
  const [program = '', ...args] = end(A, 'serve', { interface: 'mig0', address: MIGRATION_A });
  const serving = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  serving.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  stopServing = () => serving.kill('SIGTERM');
  await eventually('the serving end', () => (said.includes('"ready":true') ? true : undefined), 30_000);
});
afterAll(() => {
  stopServing();
  removeNetworks();
});

describe('a VLAN-isolated migration network', () => {
  it('an agent whose interface does not have the declared address does not start', () => {
    const wrong = runs(end(A, 'serve', { interface: 'pub0', address: MIGRATION_A, port: PORT + 1 }));
    expect(wrong.status).not.toBe(0);
    expect(wrong.stderr).toContain('interface pub0 does not have the address 10.77.0.1');
  });

  it('a packet from elsewhere is refused before a word of TLS, though it reaches the address, and the key is the right one', async () => {
    const refusals = (): number => said.split('ADDRESS_REFUSED').length - 1;
    const before = refusals();
    const stranger = runs(end(C, 'pull', { address: ELSEWHERE }));
    expect(JSON.parse(stranger.stdout.trim())).toMatchObject({ ok: false });
    await eventually('the refusal', () => (refusals() > before ? true : undefined));
    expect(said).not.toMatch(/"sentBytes":[1-9]/);
    expect(existsSync(join(root, 'arrived'))).toBe(false);
  });

  it('the peer’s agent gets the image over it, and a sniffer on it sees only ciphertext', async () => {
    const sniffer = await sniff(join(root, 'wire'), 'mig0', [PORT], inside(A));
    const pulled = runs(end(B, 'pull', { interface: 'mig0', address: MIGRATION_B }));
    expect(JSON.parse(pulled.stdout.trim())).toEqual({ ok: true });
    const wire = (await sniffer.stop())(PORT);
    const bytes = readFileSync(image);
    expect(readFileSync(join(root, 'arrived')).equals(bytes)).toBe(true);
    expect(wire.length).toBeGreaterThan(bytes.length);
    expect(wire.includes(MARKER)).toBe(false);
    for (let at = 0; at + 32 <= bytes.length; at += 65_536) expect(wire.includes(bytes.subarray(at, at + 32))).toBe(false);
  });
});
