import { randomBytes } from 'node:crypto';
import { type Digest, digest, type HostName } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { validatePath } from '@carnet/pki';
import { jurisdictionsOf, levelOf } from '@carnet/policy';
import type { Journey } from '@carnet/saga';
import { openMigrationViews } from '@carnet/views';
import { aloneWith } from './alone.ts';
import { openSecretReader } from './barbican/secrets.ts';
import { certificateRows, meterCertificates } from './certificates.ts';
import { createFailures } from './failures.ts';
import type { Ground } from './ground.ts';
import { letGoOfHeld } from './held-still.ts';
import { bringBackWhatIsHere } from './here.ts';
import { openHostClient } from './hosts/client.ts';
import { createHosts } from './hosts/steps.ts';
import { tellChain } from './hosts/tell-chain.ts';
import { crlTeller } from './hosts/tell-crls.ts';
import { agentSpiffeId, type ValidateAgent } from './hosts/wire.ts';
import { openInventory } from './inventory.ts';
import { arrivals } from './keys/arrived.ts';
import { dutiesOf, isHolderByLedgers, receivedFrom } from './keys/escrow-holder.ts';
import { startEscrowNews } from './keys/escrow-news.ts';
import { createHandoverKeys } from './keys/handover-keys.ts';
import { startKeyNews } from './keys/key-news.ts';
import { openOwnWords } from './keys/own-words.ts';
import { KEM_OF } from './keys/profiles.ts';
import { createLedgers, isBehind } from './ledgers.ts';
import { needsPeer } from './moving.ts';
import { openCounts } from './open-counts.ts';
import { openPeering } from './peering/open-peering.ts';
import { createPeeringService } from './peering/service.ts';
import { tendPeerings } from './peering/tend.ts';
import { openAgreements } from './peers/agreements.ts';
import { openPeerTrust } from './peers/peer-trust.ts';
import { createPerformer } from './perform/perform.ts';
import { openPolicyGate } from './policy-gate.ts';
import { openQuotas } from './quotas.ts';
import { provideSecretsAgain } from './secrets-again.ts';
import { meterAlarms } from './service/alarms.ts';
import { createService } from './service/create-service.ts';
import { createEscrowService } from './service/escrows.ts';
import { hasStarted, type IntakePorts, isMoving } from './service/intake.ts';
import { createKeyService } from './service/keys.ts';
import type { MachinePorts } from './service/machines.ts';
import { openWaitingRequests } from './service/requests.ts';
import { openApiKeys } from './users/api-keys.ts';
import { stillGood } from './users/credential.ts';

/** Open migrations that are looked through for those with one peer. */
const OPEN_LISTED_MAX = 10_000;

/** Ties the broker's parts together. Nothing here decides anything. */
export function wire(ground: Ground) {
  const { config, journal, store, keys, policies, nowMs, log } = ground;
  const self = config.domain;
  const hostNames = config.hosts.map(({ name }) => name);
  const views = openMigrationViews(store);
  const ledgers = createLedgers(journal, self, nowMs, policies.announced);
  const crls = crlTeller(ground.bus.connection, ground.trust, ground.identity.leaf.signer, log);
  // Who we are comes first: what follows is signed by that leaf.
  const tellHost = (host: HostName): void => {
    tellChain(ground.bus.connection, ground.identity.leaf, host);
    crls.tell(host);
  };
  const tellHosts = (): void => {
    for (const host of hostNames) tellHost(host);
  };
  const hostClient = openHostClient({
    bus: ground.bus.connection,
    domain: self,
    hosts: hostNames,
    signer: ground.identity.leaf.signer,
    validateAgent: agentValidator(ground),
    nowMs,
    log,
    onReport: (host, report) => {
      if (report.kind !== 'hello') return;
      tellHost(host);
      provideSecrets(host, report);
      lookAfterHeld(host, report);
    },
  });
  const registry = () => hostClient.registry;
  const hosts = createHosts(hostClient, nowMs);
  const inventory = openInventory({ store, hosts: hostNames, registry, levelOf: (host) => levelOf(policies, host), log });
  const policy = openPolicyGate({
    self,
    set: policies,
    counts: openCounts(views),
    peers: journal.peers,
    hosts: hostNames,
    hostsUp: () => hostNames.filter((host) => registry().isUp(host)),
    now: ground.now,
  });
  const handover = createHandoverKeys({
    keys,
    store,
    domain: self,
    registry,
    arriving: KEM_OF[config.profile.arriving],
    roleOf: policy.roleOf,
  });
  const signer = () => ground.identity.signing().signer;
  const own = openOwnWords({ self, journal, keys, store, signer, log });
  const bringing = own.bringingBack(arrivals(keys, self));
  const here = (journey: Journey) =>
    bringBackWhatIsHere({ self, store, ledgers, journal, inventory, keys: bringing, log }, journey.vm, journey);
  const alone = aloneWith(store);
  const quotas = openQuotas({ store, views, ledgers });
  const { rollbackWindowSeconds } = config.migration;
  const agreements = openAgreements({
    self,
    journal,
    nowMs,
    rollbackWindowSeconds,
    jurisdictionsOf: (csp) => jurisdictionsOf(policies, csp),
  });
  const identify = ownIdentity(ground);
  const apiKeys = openApiKeys(store, nowMs, randomBytes);
  const intake: IntakePorts = {
    agreementFault: agreements.fault,
    self,
    peers: journal.peers,
    ledgers,
    inventory,
    keys: handover,
    alone,
    quotas,
    policy,
    waiting: openWaitingRequests(store),
    isStillGood: stillGood({ identify, isActive: apiKeys.isActive, now: ground.now }),
    nowMs,
    offerMs: config.migration.offerSeconds * 1_000,
    deadlineMs: config.migration.deadlineSeconds * 1_000,
    leastRekey: config.rekey.leaving,
    identify,
  };
  const machines: MachinePorts = {
    self,
    store,
    keys,
    handover,
    inventory,
    hosts: hostClient,
    hostNames,
    nowMs,
    isMoving: (vm) => isMoving(intake, vm),
    hasStarted: (vm) => hasStarted(intake, vm),
    alone,
    roleOf: policy.roleOf,
    signer,
  };
  const news = startKeyNews({ self, journal, keys, store, own, log });
  const provideSecrets = provideSecretsAgain(machines, log);
  const lookAfterHeld = letGoOfHeld({ self, inventory, ledgers, alone, hosts, keys: handover }, log);
  const failures = createFailures();
  const settings = {
    rollbackWindowMs: config.migration.rollbackWindowSeconds * 1_000,
    graceSeconds: config.migration.graceSeconds,
    unansweredOffers: config.migration.unansweredOffers,
    rekeyArriving: config.rekey.arriving,
    kemArriving: KEM_OF[config.profile.arriving],
    kemsLeaving: config.profile.leaving.map((one) => KEM_OF[one]),
  };
  const perform = createPerformer({
    self,
    ledgers,
    keys: handover,
    hosts,
    inventory,
    policy,
    peers: openPeerTrust(ground, agreements),
    alone,
    quotas,
    settings,
    here,
    nowMs,
  });
  const escrows = keys.escrows({
    csp: self,
    signer,
    identify: intake.identify,
    may: (person, duty) => dutiesOf(policy.roleOf(person)).has(duty),
    peers: () => journal.peers,
    isHolder: async (vm) => ((await isBehind(journal)) ? 'unsure' : isHolderByLedgers(vm, await ledgers.journeys(vm), self)),
    notAgreed: async (vm, quorum) => {
      const source = receivedFrom(vm, await ledgers.journeys(vm), self);
      return source && (await agreements.escrowFault(source, quorum))?.text;
    },
  });
  const escrowNews = startEscrowNews({ journal, escrows, log });
  const certificates = () =>
    certificateRows({ ...ground, self, leaf: ground.identity.leaf, hosts: hostNames, hello: (host) => registry().hello(host) });
  meterCertificates(ground.metrics, certificates);
  const peering = openPeering(ground);
  const peerings = tendPeerings({
    peering,
    journal,
    invited: ground.invited,
    crlDirectory: config.trust.crlDirectory,
    tellHosts,
    log,
  });
  const service = createService({
    peering: createPeeringService({
      ...peering,
      url: config.peering.door?.url,
      confirmedBy: config.peering.confirmedBy,
      openMigrationsWith: async (domain) => {
        const rows = await views.takenUpWith(domain, self, OPEN_LISTED_MAX);
        const journeys = await Promise.all([...new Set(rows.map(({ vm }) => vm))].map((vm) => ledgers.journey(vm, domain)));
        return journeys.flatMap(({ migrations }) => migrations).filter((m) => needsPeer(m, self)).length;
      },
      unheardBy: async (domain) => {
        const own = (await journal.heads()).find(({ publisher, audience }) => publisher === self && audience === domain);
        if (own?.quarantinedAt !== undefined) return 'unknown';
        return own === undefined ? 0 : Number(own.head?.seq ?? 0) - own.coveredSeq;
      },
      changed: peerings.nudge,
    }),
    configured: peering.configured,
    self,
    journal,
    views,
    keyService: createKeyService({ ...machines, journal, tell: news.tell }),
    hosts,
    machines,
    intake,
    failures,
    apiKeys,
    escrow: createEscrowService(escrows, escrowNews.tell),
    agreements,
    certificates,
    fingerprintOf: (peer) => fingerprintOf(journal, peer),
    nowMs,
  });
  meterAlarms(ground.metrics, service.alarms);
  const secrets = openSecretReader(keys, self);
  return {
    peering,
    peerings,
    views,
    handover,
    inventory,
    ledgers,
    hosts,
    policy,
    failures,
    perform,
    here,
    service,
    secrets,
    apiKeys,
    news,
    escrowNews,
    tellHosts,
  };
}
export type Wired = ReturnType<typeof wire>;

/** Exactly this CSP's agent of exactly this host: another host's agent of the same CSP must not speak for it. */
const agentValidator =
  ({ config, trust, now }: Ground): ValidateAgent =>
  (chain, host: HostName) => {
    const path = validatePath({
      ...trust(),
      chain,
      at: now(),
      trustDomain: config.domain,
      spiffeId: agentSpiffeId(config.domain, host),
    });
    return path.ok ? path.value : undefined;
  };

/** Certificates of this CSP's own people and schedulers: they come as a leaf, under our own intermediate. */
function ownIdentity({ config, identity, trust, now }: Ground): IntakePorts['identify'] {
  return (leaf) => {
    const above = identity.leaf.chain.slice(1);
    const path = validatePath({ ...trust(), chain: [leaf, ...above], at: now(), trustDomain: config.domain });
    return path.ok ? path.value : undefined;
  };
}

/** SHA-256 of the event key that the peer announced first: what two administrators compare by voice. */
async function fingerprintOf(journal: Journal, peer: string): Promise<Digest | undefined> {
  const known = journal.peers.find((one) => one === peer);
  if (known === undefined) return undefined;
  const [first] = await journal.ledger({ publisher: known, audience: journal.self }, { from: 1, limit: 1 });
  return first?.event?.type === 'KeyAnnounced' ? digest.parse(first.event.data.keyid) : undefined;
}
