import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { hostName, trustDomain } from '@carnet/events';
import { CRL_RECHECK_MS, createCrl, createFederationPki, readCertificate, rememberedRsaKeys } from '@carnet/pki';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { EXIT } from '../exit.ts';
import { carnet } from '../testing/terminal.ts';
import { busFile } from './bus-file.ts';
import { configOf, openBusKeeper } from './cut-off.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-bus-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(() => void vi.restoreAllMocks());
const [A, B] = [trustDomain.parse('csp-a.example'), trustDomain.parse('csp-b.example')];
const pki = await createFederationPki({
  dir,
  domains: [A, B].map((domain) => ({ domain, hosts: [hostName.parse('h1')] })),
  busDomain: trustDomain.parse('bus.example'),
  nowMs: Date.now(),
  random: randomBytes,
  keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
});
const configFile = join(dir, 'nats.conf');
const pidFile = join(dir, 'nats.pid');
const file = busFile.parse({
  domain: 'bus.example',
  listen: '0.0.0.0:4222',
  server: {
    configFile,
    pidFile,
    directory: '/var/lib/nats',
    certificateFile: join(dir, 'bus/server.pem'),
    keyFile: join(dir, 'bus/server.key'),
  },
  trust: { rootFile: join(dir, 'root.pem'), crlDirectory: join(dir, 'crls'), marksFile: join(dir, 'marks.json') },
  members: [A, B].map((domain) => ({ domain, hosts: ['h1'], certificateFile: join(dir, domain, 'broker.pem') })),
});

it('a member is cut off for a revocation only, and a server that could not be told is told again', () => {
  let nowMs = Date.now();
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  const look = openBusKeeper(file, () => nowMs);
  expect(look).toThrow('nats.pid');
  writeFileSync(pidFile, '-1');
  expect(look).toThrow('process id');
  expect(kill).not.toHaveBeenCalled();
  writeFileSync(pidFile, '4242\n');
  expect(look()).toMatchObject({ outcome: 'reloaded', members: [{ standing: 'good' }, { standing: 'good' }] });
  expect(kill.mock.calls).toEqual([[4242, 'SIGHUP']]);
  expect(look()).toMatchObject({ outcome: 'unchanged' });
  const before = readFileSync(configFile, 'utf8');
  expect(before).toContain('listen: "0.0.0.0:4222"');
  expect(before).not.toContain('{{');
  // Stale is no reason: what is not known must not take the bus from everybody.
  const later = nowMs;
  nowMs += 365 * 86_400_000;
  expect(look()).toMatchObject({ outcome: 'unchanged', members: [{ standing: 'CRL_STALE' }, { standing: 'CRL_STALE' }] });
  nowMs = later + CRL_RECHECK_MS;
  const leaf = readCertificate(pki.members.get(B)?.leaves.get('broker')?.certificate ?? new Uint8Array());
  const authority = pki.members.get(B)?.authority;
  if (!leaf.ok || authority === undefined) throw new Error('no B');
  const revoked = [{ serial: leaf.value.serial, atMs: later, reason: 'keyCompromise' as const }];
  const list = createCrl(authority, { number: 2, thisUpdateMs: later - 1_000, nextUpdateMs: later + 3_600_000, revoked });
  writeFileSync(join(dir, 'crls', `${B}.der`), list);
  nowMs = later + 365 * 86_400_000 + CRL_RECHECK_MS;
  look();
  nowMs = later + 2 * CRL_RECHECK_MS;
  expect(look()).toMatchObject({ outcome: 'reloaded', members: [{ standing: 'good' }, { domain: B, standing: 'REVOKED' }] });
  const after = readFileSync(configFile, 'utf8');
  expect(after).toContain(`spiffe://${A}/broker`);
  expect(after).not.toContain(`spiffe://${B}/`);
});

it('a server of a cluster is told who the others are, by their keys', () => {
  const cluster = { node: 'bus-1', listen: '192.0.2.1:6222', routes: ['192.0.2.2:6222'], keyPins: ['a'.repeat(64)] };
  const text = configOf(busFile.parse({ ...file, server: { ...file.server, cluster }, replicas: 3 }), []);
  expect(text).toContain('server_name: "bus-1"');
  expect(text).toContain(`pinned_certs: ["${'a'.repeat(64)}"]`);
  expect(text).toContain('store_dir: "/var/lib/nats/jetstream", sync_interval: always');
  expect(text).not.toContain('leafnodes');
  const called = configOf(busFile.parse({ ...file, server: { ...file.server, leaves: '0.0.0.0:7422' } }), [B]);
  expect(called).toContain('leafnodes {\n  listen: "0.0.0.0:7422"');
  expect(called).toContain(`spiffe://${A}/server`);
  expect(called).not.toContain(`spiffe://${B}/`);
  expect(busFile.safeParse({ ...file, server: { ...file.server, cluster: { ...cluster, keyPins: [] } } }).success).toBe(false);
});

it('a file that is not well formed is wrong use, with every fault', async () => {
  const broken = join(dir, 'broken.toml');
  writeFileSync(broken, 'domain = "bus.example"\nlisten = "no port"\nsurprise = 1\n');
  const { exit, err } = await carnet(['bus', 'apply', '--config', broken], '/nowhere');
  expect(exit).toBe(EXIT.usage);
  for (const word of ['listen', 'surprise', 'server', 'members']) expect(err).toContain(word);
});
