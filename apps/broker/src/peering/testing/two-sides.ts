import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type Digest, digest, hostName, type TrustDomain, timestamp, trustDomain } from '@carnet/events';
import {
  type Authority,
  createCrl,
  createFederationPki,
  type FederationPki,
  openTrustFiles,
  readCertificate,
  rememberedRsaKeys,
  type TlsMaterial,
  type TrustStore,
} from '@carnet/pki';
import { createMetrics } from '@carnet/runtime';
import { runChanges, type Store } from '@carnet/store';
import { sql } from 'kysely';
import { pino } from 'pino';
import { openEmptyStore } from '../../../../../libs/store/src/testing.ts';
import type { App } from '../../http/app.ts';
import { ownList } from '../card.ts';
import { peeringDoor } from '../door.ts';
import { type Invited, openInvited } from '../invited.ts';
import { type Inviter, openInviter } from '../inviter.ts';
import { createPeeringService, type PeeringService, type PeeringServicePorts } from '../service.ts';
import { openPeeringStore, peeringChanges } from '../table.ts';
import { type PeeringTending, tendPeerings } from '../tend.ts';

export const [A, B, C] = ['csp-a.example', 'csp-b.example', 'csp-c.example'].map((text) => trustDomain.parse(text)) as [
  TrustDomain,
  TrustDomain,
  TrustDomain,
];
export const ADMIN = 'spiffe://csp-x.example/administrator';

/** One CSP: its rows, its door, what administrators do there, and what is trusted there now. */
export interface Side {
  readonly domain: TrustDomain;
  readonly ports: PeeringServicePorts;
  readonly service: PeeringService;
  readonly invited: Invited;
  readonly tending: PeeringTending;
  /** Peers whose ledgers are open, in the order in which that came to be. */
  readonly attached: readonly TrustDomain[];
  /** Peers whose ledgers cannot be opened. */
  readonly damaged: Set<TrustDomain>;
  /** What was done for a new peer, in order. */
  readonly order: readonly string[];
  readonly log: readonly string[];
  readonly crlDirectory: string;
  /** Puts another door in place of its own, or other answers behind it. */
  readonly openDoor: (change?: Partial<Inviter>, tls?: TlsMaterial) => Promise<string>;
  /** Everything that stands in the tables of peering. */
  readonly rows: () => Promise<unknown>;
  readonly tls: TlsMaterial;
  /** Its clock goes wrong by so many ms. */
  readonly skew: (ms: number) => void;
}

export interface World {
  readonly pki: FederationPki;
  readonly side: (domain: TrustDomain, change?: Partial<PeeringServicePorts>) => Promise<Side>;
  readonly authorityOf: (domain: TrustDomain) => Authority;
  readonly leafOf: (
    domain: TrustDomain,
    name?: string,
  ) => { readonly keyPem: string; readonly chainPem: string; readonly der: Uint8Array };
  /** A list of that CSP's authority, newer than its first. */
  readonly listOf: (domain: TrustDomain, revoked: readonly Uint8Array[]) => Uint8Array;
  /** As before the first exchange. */
  readonly clean: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Three CSPs under one root, who do not know each other's revocation lists, with real TLS between them. */
export async function createWorld(): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-peering-'));
  const nowMs = Date.now();
  const pki = await createFederationPki({
    dir,
    domains: [A, B, C].map((domain) => ({ domain, hosts: [hostName.parse('h1')] })),
    busDomain: trustDomain.parse('bus.example'),
    nowMs,
    random: randomBytes,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });
  const stores = new Map<TrustDomain, Store>();
  const closing: (() => Promise<unknown>)[] = [];
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  const authorityOf = (domain: TrustDomain): Authority => {
    const member = pki.members.get(domain);
    if (member === undefined) throw new Error(`no ${domain}`);
    return member.authority;
  };
  const leafOf: World['leafOf'] = (domain, name = 'broker') => ({
    keyPem: read(`${domain}/${name}.key`),
    chainPem: read(`${domain}/${name}.pem`),
    der: pki.members.get(domain)?.leaves.get(name)?.certificate ?? new Uint8Array(),
  });
  const storeOf = async (domain: TrustDomain): Promise<Store> => {
    const known = stores.get(domain);
    if (known !== undefined) return known;
    const store = await openEmptyStore(join(dir, `db-${domain}`));
    await runChanges(store, peeringChanges);
    stores.set(domain, store);
    return store;
  };
  for (const domain of [A, B, C]) await storeOf(domain);
  let sides = 0;
  return {
    pki,
    authorityOf,
    leafOf,
    listOf: (domain, revoked) =>
      createCrl(authorityOf(domain), {
        number: 2,
        thisUpdateMs: nowMs - 1_000,
        nextUpdateMs: nowMs + 3_600_000,
        revoked: revoked.map((der) => ({ serial: serialOf(der), atMs: nowMs - 1_000, reason: 'keyCompromise' as const })),
      }),
    side: async (domain, change) => {
      sides += 1;
      const home = join(dir, `side-${sides}`);
      mkdirSync(join(home, 'crls'), { recursive: true });
      for (const name of ['root', domain])
        writeFileSync(join(home, 'crls', `${name}.der`), readFileSync(join(dir, 'crls', `${name}.der`)));
      return openSide({
        domain,
        home,
        rootFile: join(dir, 'root.pem'),
        store: await storeOf(domain),
        leaf: leafOf(domain),
        closing,
        change,
      });
    },
    clean: async () => {
      await Promise.all(closing.splice(0).map((close) => close()));
      for (const store of stores.values()) await sql`delete from peering_invitations`.execute(store.db);
      for (const store of stores.values()) await sql`delete from peering_peers`.execute(store.db);
    },
    close: async () => {
      await Promise.all(closing.splice(0).map((close) => close()));
      await Promise.all([...stores.values()].map((store) => store.close()));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const serialOf = (der: Uint8Array): string => certificate(der).serial;
const certificate = (der: Uint8Array) => {
  const read = readCertificate(der);
  if (!read.ok) throw new Error(read.text);
  return read.value;
};

interface SideParts {
  readonly domain: TrustDomain;
  readonly home: string;
  readonly rootFile: string;
  readonly store: Store;
  readonly leaf: ReturnType<World['leafOf']>;
  readonly closing: (() => Promise<unknown>)[];
  readonly change: Partial<PeeringServicePorts> | undefined;
}

async function openSide({ domain, home, rootFile, store, leaf, closing, change }: SideParts): Promise<Side> {
  const crlDirectory = join(home, 'crls');
  let skewMs = 0;
  const nowMs = (): number => Date.now() + skewMs;
  const now = () => timestamp.parse(new Date(nowMs()).toISOString());
  const invited = openInvited();
  const files = openTrustFiles({ rootFile, crlDirectories: [crlDirectory], marksFile: join(home, 'marks.json') }, () =>
    Date.now(),
  );
  const trust = (): TrustStore => ({ ...files(), issuers: invited.issuers });
  const log: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void log.push(line) });
  const issuer = leafAbove(leaf.chainPem);
  const root = certificate(files().roots[0] ?? new Uint8Array()).digest;
  const tls: TlsMaterial = { ...leaf, store: trust, now };
  const eventKey: Digest = digest.parse(Buffer.from(domain).toString('hex').padEnd(64, '0').slice(0, 64));
  const attached: TrustDomain[] = [];
  const damaged = new Set<TrustDomain>();
  const order: string[] = [];
  const base = {
    self: domain,
    rows: openPeeringStore(store),
    trust,
    tls,
    root: () => root,
    roots: () => [root],
    ownCard: () => ({ issuer, crls: ownList(issuer, { trust }), eventKey, bus: trustDomain.parse('bus.example') }),
    configured: [],
    random: (n: number) => randomBytes(n),
    nowMs,
    now,
    confirmedBy: 'anyone' as const,
    openMigrationsWith: async () => 0,
    unheardBy: async () => 0,
    ...change,
  };
  const tending = tendPeerings({
    peering: base,
    journal: {
      attach: async (peer) => {
        if (damaged.has(peer)) throw new Error('HEAD_FILE_BROKEN');
        order.push('ledgers');
        attached.push(peer);
      },
      append: async () => ({ ok: false, code: 'APPEND_OVERLOADED', text: 'no ledgers here' }),
      detach: (peer) => void attached.splice(attached.indexOf(peer), 1),
    },
    invited,
    crlDirectory,
    tellHosts: () => void order.push('hosts'),
    log: logger,
  });
  closing.push(() => tending.stop());
  let app: App | undefined;
  let url: string | undefined;
  const ports: PeeringServicePorts = {
    ...base,
    get url() {
      return url;
    },
    changed: tending.nudge,
  };
  const openDoor: Side['openDoor'] = async (behind, shown = tls) => {
    await app?.close();
    const opened = peeringDoor({
      inviter: { ...openInviter(base), ...behind },
      tls: shown,
      nowMs,
      log: logger,
      metrics: createMetrics(),
    });
    app = opened;
    await opened.listen({ host: '127.0.0.1', port: 0 });
    closing.push(() => opened.close());
    url = `https://127.0.0.1:${(opened.server.address() as AddressInfo).port}`;
    return url;
  };
  return {
    domain,
    ports,
    service: createPeeringService(ports),
    invited,
    tending,
    attached,
    damaged,
    order,
    log,
    crlDirectory,
    openDoor,
    tls,
    rows: async () => ({
      invitations: (await sql`select * from peering_invitations order by id`.execute(store.db)).rows,
      peers: (await sql`select * from peering_peers order by domain`.execute(store.db)).rows,
    }),
    skew: (ms) => {
      skewMs = ms;
    },
  };
}

const leafAbove = (chainPem: string): string =>
  (chainPem.split('-----BEGIN CERTIFICATE-----')[2] ?? '').replace(/-----END[\s\S]*/, '').replaceAll(/\s/g, '');
