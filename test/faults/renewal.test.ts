import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { type Daemon, eventually, freePort, repositoryRoot } from '@carnet/dev';
import { timestamp } from '@carnet/events';
import {
  estIssuer,
  freshRsaKeys,
  openLeaf,
  privateKeyPem,
  readCrl,
  readPem,
  readRegister,
  renew,
  type TrustStore,
  tlsOf,
} from '@carnet/pki';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST } from '../../infra/dev/src/clouds/layout.ts';
import { ledgersAgree, runsAt } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { type IssuerPlace, issueInto, issuerPlace, startIssuer } from './harness/issuer.ts';
import { eventAppears, ledgerRows } from './harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from './harness/moves.ts';

/** Two thirds are over, and nobody has renewed them: they have so long left. */
const LEFT_MS = 200_000;
const AGO_MS = 600_000;
const LEAVES = [
  { file: 'broker', profile: 'broker', path: 'broker', dns: 'broker' },
  { file: `agent-${HOST}`, profile: 'agent', path: `agent/${HOST}`, dns: HOST },
] as const;

let clouds: Clouds;
let vm: Vm;
let migration: string;
const places = new Map<string, IssuerPlace & { readonly port: number }>();
const issuers: Daemon[] = [];
const before = new Map<string, string>();

const leafIn = (cloud: Pick<Cloud, 'paths'>, name: string): X509Certificate =>
  new X509Certificate(readPem(readFileSync(join(cloud.paths.pki, `${name}.pem`), 'utf8'), 'CERTIFICATE')[0] ?? '');
const serialOf = (cloud: Pick<Cloud, 'paths'>, name: string): string => leafIn(cloud, name).serialNumber;

beforeAll(async () => {
  const ports = { a: await freePort(), b: await freePort() };
  const portOf = (key: string): number => (key === 'a' ? ports.a : ports.b);
  const renewing = (text: string, { key }: { readonly key: string }): string =>
    `${text}\n[renewal]\nurl = "https://127.0.0.1:${portOf(key)}"\n`;
  clouds = await startClouds({
    broker: renewing,
    agent: renewing,
    prepare: async (plan, paths, federation) => {
      const member = federation.members.get(plan.domain);
      if (member === undefined) throw new Error('no member');
      const place = await issuerPlace(join(paths.home, 'issuer'), plan.domain, member);
      places.set(plan.domain, { ...place, port: portOf(plan.key) });
      for (const { file, profile, path, dns } of LEAVES) {
        const at = (end: string): string => join(paths.pki, `${file}.${end}`);
        const wish = { profile, path, dnsNames: [`${dns}.${plan.domain}`], lifeMs: AGO_MS + LEFT_MS, agoMs: AGO_MS };
        issueInto(place, { certificateFile: at('pem'), keyFile: at('key') }, wish);
        before.set(`${plan.key} ${file}`, serialOf({ paths }, file));
      }
    },
  });
  vm = await createVm(clouds.a);
}, 180_000);
afterAll(async () => {
  for (const issuer of issuers) await issuer.stop();
  await clouds?.stop();
});

const sides = (): readonly Cloud[] => [clouds.a, clouds.b];
const log = ({ logFile }: Daemon): string => readFileSync(logFile, 'utf8');
const renewed = (daemon: Daemon): Promise<true> =>
  eventually('a new certificate', () => (log(daemon).includes('a new certificate is in use') ? true : undefined), 60_000);

/** The serial number that a door shows to whoever comes now. */
const shownAt = ({ facts, paths, plan }: Cloud): Promise<string> =>
  new Promise((resolve, reject) => {
    const read = (name: string): string => readFileSync(join(paths.pki, name), 'utf8');
    const own = { ca: read('root.pem'), cert: read('operator.pem'), key: read('operator.key') };
    const socket = connect({ ...own, host: '127.0.0.1', port: facts.ports.http, servername: `broker.${plan.domain}` }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
      socket.destroy();
    });
    socket.once('error', reject);
  });

describe('all certificates of both clouds are renewed in the middle of a migration', () => {
  it('an issuing authority that is away is asked again, and everything goes on', async () => {
    for (const { broker, agent } of sides())
      for (const daemon of [broker, agent])
        await eventually('an attempt', () => (log(daemon).includes('ISSUER_UNREACHABLE') ? true : undefined), 30_000);
    expect(await shownAt(clouds.a)).toBe(before.get('a broker'));
  });

  it('the source’s broker stops after the agreement; meanwhile the others get new certificates, without a restart', async () => {
    const { a, b } = clouds;
    migration = await intend(a, b, vm, 'cold');
    await eventAppears(a.database, migration, 'OfferAgreed', 30_000);
    await a.broker.kill('SIGSTOP');
    const types = (await ledgerRows(b.database)).filter((row) => row.migration === migration).map(({ type }) => type);
    expect(types).not.toContain('ImageVerified');
    const pids = sides().flatMap(({ broker, agent }) => [broker.pid, agent.pid]);
    for (const { plan, paths } of sides()) {
      const place = places.get(plan.domain);
      if (place === undefined) throw new Error('no issuer');
      const keyPem = privateKeyPem((await freshRsaKeys()).privateKey);
      issuers.push(await startIssuer(place, { port: place.port, trustDir: paths.pki, keyPem }));
    }
    await Promise.all([a.agent, b.agent, b.broker].map(renewed));
    await a.broker.kill('SIGCONT');
    await renewed(a.broker);
    expect(sides().flatMap(({ broker, agent }) => [broker.pid, agent.pid])).toEqual(pids);
    for (const cloud of sides()) {
      for (const { file } of LEAVES) expect(serialOf(cloud, file)).not.toBe(before.get(`${cloud.plan.key} ${file}`));
      expect(await shownAt(cloud)).toBe(serialOf(cloud, 'broker'));
    }
  }, 180_000);

  it('the migration, pinned to the old certificates, goes through', async () => {
    expect(await settled(clouds, migration, 60_000)).toMatchObject({ outcome: 'done' });
    expect(runsAt(clouds, vm)).toEqual([clouds.b.plan.domain]);
    await ledgersAgree(clouds);
  });

  it('the brokers fetch the list of their issuing authority, and tell their hosts', async () => {
    for (const { paths, plan } of sides()) {
      const place = places.get(plan.domain);
      const list = readFileSync(join(place?.dir ?? '', 'crl.der'));
      const arrived = (folder: string): true | undefined =>
        readdirSync(folder).some((name) => name.endsWith('.der') && list.equals(readFileSync(join(folder, name)))) || undefined;
      await eventually('the list at the broker', () => arrived(paths.crls), 60_000);
      await eventually('the list at the host', () => arrived(join(paths.agentState, 'crls')), 30_000);
    }
  }, 120_000);

  it('the next one is pinned to the new ones, and goes through as well, after a kill -9 of the agents too', async () => {
    const { a, b } = clouds;
    for (const { agent } of sides()) {
      await agent.kill('SIGKILL');
      await agent.restart();
    }
    const back = await intend(b, a, vm, 'cold');
    expect(await settled(clouds, back, 60_000)).toMatchObject({ outcome: 'done' });
    expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
    await ledgersAgree(clouds);
  }, 120_000);

  it('who stole the key of an agent’s leaf gets no other in its name; revoking that leaf ends what was renewed from it', async () => {
    const { plan, paths } = clouds.a;
    const place = places.get(plan.domain);
    if (place === undefined) throw new Error('no issuer');
    const own = join(paths.pki, `agent-${HOST}`);
    const stolen = { certificateFile: join(clouds.root, 'stolen.pem'), keyFile: join(clouds.root, 'stolen.key') };
    copyFileSync(`${own}.pem.before`, stolen.certificateFile);
    copyFileSync(`${own}.key.before`, stolen.keyFile);
    const roots = readPem(readFileSync(join(paths.pki, 'root.pem'), 'utf8'), 'CERTIFICATE');
    const crls = readdirSync(paths.crls).map((name) => Uint8Array.from(readFileSync(join(paths.crls, name))));
    const store = (): TrustStore => ({ roots, crls });
    const now = () => timestamp.parse(new Date().toISOString());
    const leaf = openLeaf(stolen, Date.now);
    const ask = estIssuer({
      url: `https://127.0.0.1:${place.port}`,
      domain: plan.domain,
      material: tlsOf(leaf, store, now),
    });
    const issued = readRegister(place.dir).issued;
    const refused = await renew({ files: stolen, leaf: leaf.current, ask, store, now, keys: freshRsaKeys });
    expect(refused).toMatchObject({ ok: false, got: expect.stringContaining('RENEWAL_REPEATED') });
    expect(readRegister(place.dir).issued).toEqual(issued);
    const theft = before.get(`a agent-${HOST}`)?.toLowerCase() ?? '';
    const args = ['authority', 'revoke', theft, '--dir', place.dir, '--passphrase-file', place.passphraseFile];
    const said = spawnSync(process.execPath, [join(repositoryRoot, 'apps/carnet/src/main.ts'), ...args], { encoding: 'utf8' });
    expect([said.status, said.stderr]).toEqual([0, expect.stringContaining('revoked')]);
    const list = readCrl(Uint8Array.from(readFileSync(join(place.dir, 'crl.der'))));
    const revoked = list.ok ? [...list.value.revoked.keys()] : [];
    expect(revoked.toSorted()).toEqual([theft, serialOf(clouds.a, `agent-${HOST}`).toLowerCase()].toSorted());
  }, 60_000);
});
