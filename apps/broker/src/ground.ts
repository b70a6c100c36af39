import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Timestamp, timestamp } from '@carnet/events';
import { type Bus, bootId, bootsIn, connectBus, type Journal, openJournal } from '@carnet/journal';
import { type KeyManager, openKeyManager } from '@carnet/keys';
import { chainValidator, clientTlsOptions, type TlsMaterial, type TrustStore, tlsOf } from '@carnet/pki';
import type { PolicySet } from '@carnet/policy';
import type { Log, Metrics } from '@carnet/runtime';
import { openStore, runChanges, type Store } from '@carnet/store';
import { viewsChanges } from '@carnet/views';
import type { BrokerConfig } from './config.ts';
import { type BrokerIdentity, openIdentity } from './identity.ts';
import { inventoryChanges } from './inventory.ts';
import { ensureKeyRoot, keyBackendOf } from './keys/key-root.ts';
import { keepLedgers } from './ledgers.ts';
import { type Invited, openInvited } from './peering/invited.ts';
import { peeringChanges } from './peering/table.ts';
import { archivePolicySet, readPolicySet, refuseDowngrade } from './policy-start.ts';
import { requestChanges } from './service/requests.ts';
import { settledChanges } from './settled-table.ts';
import { headDirOf, openTrust, spareDirOf } from './state-directory.ts';
import { usersChanges } from './users/api-keys.ts';
import type { Waiting } from './waiting.ts';

/** What the broker stands on, opened in the order in which each needs the other. */
export interface Ground {
  readonly config: BrokerConfig;
  readonly identity: BrokerIdentity;
  readonly trust: (anew?: boolean) => TrustStore;
  readonly invited: Invited;
  readonly tls: TlsMaterial;
  readonly store: Store;
  readonly journal: Journal;
  /** Set by whoever answers peers: how many of a peer's intents wait for it. */
  readonly backlog: { unanswered: (peer: string) => number };
  readonly bus: Bus;
  readonly keys: KeyManager;
  readonly policies: PolicySet;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly now: () => Timestamp;
}

export async function openGround(
  config: BrokerConfig,
  environment: NodeJS.ProcessEnv,
  log: Log,
  metrics: Metrics,
  waiting: Waiting,
): Promise<Ground> {
  const nowMs = (): number => Date.now();
  const now = (): Timestamp => timestamp.parse(new Date(nowMs()).toISOString());
  const random = (n: number): Uint8Array => randomBytes(n);
  const policies = readPolicySet(config.policy.directory);
  await mkdir(config.stateDirectory, { recursive: true, mode: 0o700 });
  const invited = openInvited();
  const files = openTrust(config, nowMs);
  const trust = (anew?: boolean): TrustStore => ({ ...files(anew), issuers: invited.issuers });
  const identity = openIdentity(config.identity, log, nowMs);
  // The environment wins over the file, as it does for every other setting.
  const url = environment['CARNET_DATABASE_URL'] ?? config.database.url;
  const target = url === undefined ? { dir: join(config.stateDirectory, 'database') } : { url };
  const backend = keyBackendOf(config.keys, environment);
  await ensureKeyRoot(backend.root, random);
  const backlog: Ground['backlog'] = { unanswered: () => 0 };
  /** Keys are open before the ledgers are, and nothing is settled before both. */
  const ledgers = { keep: (): Promise<void> => Promise.reject(new Error('impossible: the ledgers are not open yet')) };
  const boot = await bootId();
  const journalFrom = (store: Store) =>
    openJournal({
      store,
      self: config.domain,
      peers: config.peers.map(({ domain }) => domain),
      signing: identity.signing,
      validateChain: chainValidator(trust, now),
      headDir: headDirOf(config),
      boots: bootsIn(headDirOf(config), boot),
      unanswered: (peer) => backlog.unanswered(peer),
      clock: { nowMs },
      random,
      log,
    });
  const keysFrom = async (store: Store) => {
    const actor = `spiffe://${config.domain}/broker`;
    const keys = await openKeyManager({
      store,
      ...backend,
      spareDir: spareDirOf(config),
      durable: () => ledgers.keep(),
      domain: config.domain,
      actor,
      now,
      random,
    });
    if (!keys.ok) throw new Error(`the key manager does not open: ${keys.code}: ${keys.text}`);
    return keys.value;
  };
  const { store, keys, journal, parts } = await waiting.for('database', async () => {
    const opened = await openStore({ ...target, applicationName: 'carnet-broker', log });
    return closedUnless(opened.close, async () => {
      await runChanges(opened, viewsChanges);
      await runChanges(opened, inventoryChanges);
      await runChanges(opened, usersChanges);
      await runChanges(opened, settledChanges);
      await runChanges(opened, requestChanges);
      await runChanges(opened, peeringChanges);
      const manager = await keysFrom(opened);
      const own = await closedUnless(manager.close, () => journalFrom(opened));
      return { store: opened, keys: manager, ...own };
    });
  });
  ledgers.keep = () => keepLedgers(journal);
  await waiting.for('database', () => refuseDowngrade(journal, policies, config.policy.directory));
  await archivePolicySet(policies, join(config.stateDirectory, 'policies'));
  const tls = tlsOf(identity.leaf, trust, now);
  const bus = await waiting.for(`bus at ${config.bus.url}`, () =>
    connectBus(parts, {
      servers: config.bus.url.split(','),
      serverName: config.bus.serverName,
      name: `broker ${config.domain}`,
      tls: busTls(config, tls),
    }),
  );
  return { config, identity, trust, invited, tls, store, journal, backlog, bus, keys, policies, log, metrics, nowMs, now };
}

/** A database that goes away in the middle of the start leaves nothing half open behind for the next attempt. */
async function closedUnless<T>(close: () => Promise<void> | void, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    await Promise.resolve(close()).catch(() => undefined);
    throw cause;
  }
}

/** Chain, name and revocation of the bus's certificate: it is trusted for delivery only, and still it must be the one we know. */
function busTls({ bus, trust }: BrokerConfig, material: TlsMaterial) {
  const { checkServerIdentity } = clientTlsOptions(material, { trustDomain: bus.domain }, bus.serverName);
  if (checkServerIdentity === undefined) throw new Error('impossible: options of a client without a judgement of its server');
  return {
    ca: readFileSync(trust.rootFile, 'utf8'),
    checkServerIdentity,
    get cert() {
      return material.chainPem;
    },
    get key() {
      return material.keyPem;
    },
  };
}
