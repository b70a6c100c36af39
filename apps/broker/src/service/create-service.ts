import { GENESIS, type IntentRequest, type MigrationId, type RequestRecord, type TrustDomain, timestamp } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { type Journey, type MigrationState, react, summarize } from '@carnet/saga';
import { proofFileOf } from '@carnet/trust';
import { type MigrationRow, type MigrationViews, rowsOf } from '@carnet/views';

import type { Failures } from '../failures.ts';
import type { Hosts } from '../hosts/steps.ts';
import { reasonOf } from '../reason.ts';
import type { ApiKeys } from '../users/api-keys.ts';
import type { Credential } from '../users/credential.ts';
import { alarmsOf } from './alarms.ts';
import { approve } from './approve.ts';
import { breakGlass } from './break-glass.ts';
import { createVm } from './create-vm.ts';
import { receiptRows, rekeyRow } from './custody-rows.ts';
import { deleteVm } from './delete-vm.ts';
import { type DiagnosisRow, diagnosisRow } from './diagnosis.ts';
import { discardCopy } from './discard-copy.ts';
import type { EscrowService } from './escrows.ts';
import { cancel, draftIntent, type IntakePorts, intend, openSignedRequest } from './intake.ts';
import type { createKeyService } from './keys.ts';
import { guarded, imageRow, type MachinePorts, registerImage, setPower, verifyImage, vmRow } from './machines.ts';
import { withOrigins } from './peer-rows.ts';
import { planOf } from './plan.ts';
import { currentPolicy, policySetRows, requestRow } from './policy-rows.ts';
import { exportLines, peerRow, readEvents } from './readings.ts';
import { restrictVm } from './restrictions.ts';
import type { IntentAccepted, ServiceRefusal, ServiceResult } from './result.ts';
import type { BrokerService, HostRow, MigrationDetail } from './service.ts';

export interface ServicePorts {
  readonly self: TrustDomain;
  readonly journal: Journal;
  readonly views: MigrationViews;
  readonly keyService: ReturnType<typeof createKeyService>;
  readonly hosts: Hosts;
  readonly machines: MachinePorts;
  readonly intake: IntakePorts;
  readonly failures: Failures;
  readonly apiKeys: ApiKeys;
  readonly escrow: EscrowService;
  readonly agreements: BrokerService['agreements'];
  readonly peering: BrokerService['peering'];
  /** Peers of the configuration. */
  readonly configured: readonly TrustDomain[];
  readonly certificates: BrokerService['certificates'];
  /** SHA-256 of a peer's event key, once it has announced one. */
  readonly fingerprintOf: (peer: string) => Promise<string | undefined>;
  readonly nowMs: () => number;
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

const unknownMigration = (id: MigrationId): ServiceRefusal => refuse('MIGRATION_UNKNOWN', `no migration ${id} is known here`);

/** Everything the broker does for people and schedulers, over the parts that do it. */
export function createService(ports: ServicePorts): BrokerService {
  const { self, journal, views, hosts, machines, intake } = ports;
  const now = () => timestamp.parse(new Date(ports.nowMs()).toISOString());
  type Found = { readonly journey: Journey; readonly m: MigrationState };
  const stateOf = async (id: MigrationId): Promise<Found | undefined> => {
    const row = await views.get(id, self);
    return row === undefined ? undefined : stateOfRow(row);
  };
  const stateOfRow = async (row: MigrationRow): Promise<Found | undefined> => {
    const journey = await intake.ledgers.journey(row.vm, row.source === self ? row.target : row.source);
    const m = journey.migrations.find((one) => one.id === row.migration && one.source === row.source);
    return m === undefined ? undefined : { journey, m };
  };

  return {
    domain: self,
    escrow: ports.escrow,
    intend: (request, record, shown) => guarded(() => taken(request, record, shown)),
    intendSigned: async (envelope, certificate) => {
      const opened = openSignedRequest(intake, envelope, certificate);
      return opened.ok
        ? guarded(() => taken(opened.value.request, opened.value.record, { kind: 'certificate', leaf: certificate }))
        : opened;
    },
    plan: async (request, principal) => {
      const drafted = await draftIntent(intake, request, { via: 'mtls', principal, digest: GENESIS });
      if (!drafted.ok) return drafted;
      const { data, nextEpoch } = drafted.value;
      const others = data.policy.allowed
        ? []
        : await intake.policy.alternatives({ ...data, epoch: nextEpoch }, request.migration);
      const plan = await planOf({ hosts: hosts.client, views, journal }, drafted.value, others);
      return { ok: true, value: plan };
    },
    approve: (id, approval) =>
      guarded(async () => {
        const approved = await approve(intake, id, approval);
        return approved.ok ? taken(approved.value.request, approved.value.record, approved.value.shown) : approved;
      }),
    requests: async () => (await intake.waiting.all()).map(requestRow),
    policySets: () => policySetRows(journal, intake.policy.set),
    currentPolicy: () => currentPolicy(self, intake.policy.set),
    cancel: async (id, principal, text) => {
      const found = await stateOf(id);
      return found === undefined ? unknownMigration(id) : cancel(intake, found.m, principal, text);
    },
    breakGlass: (id, words, principal) =>
      guarded(async () => {
        const found = await stateOf(id);
        return found === undefined ? unknownMigration(id) : breakGlass(intake, found.m, words, principal);
      }),
    discardCopy: (id, principal, text) =>
      guarded(async () => {
        const found = await stateOf(id);
        const discarding = { ...intake, hosts, keys: machines.handover };
        return found === undefined ? unknownMigration(id) : discardCopy(discarding, found.m, principal, text);
      }),
    migrations: (filter) => views.list(filter),
    migration: async (id) => {
      const found = await stateOf(id);
      const row = await views.get(id, self);
      return found === undefined || row === undefined
        ? unknownMigration(id)
        : { ok: true, value: { ...row, ...detailOf(found.journey, found.m) } };
    },
    diagnosis: async (id) => {
      const found = await diagnosisOf(id);
      return found === undefined ? unknownMigration(id) : { ok: true, value: found };
    },
    alarms: () => alarmsOf(views, self, now(), stateOfRow),
    events: (filter) => readEvents(journal, filter),
    onChange: (listener) => journal.subscribe(() => listener()),
    ...ports.keyService,
    peering: ports.peering,
    peers: async () => {
      const states = await journal.peersState();
      const invited = await ports.peering.peerings();
      const rows = await Promise.all(
        states.map(async (peer) => ({
          ...peerRow(peer, ports.nowMs(), await ports.fingerprintOf(peer.peer)),
          ...certificateOf(await journal.standing(peer.peer)),
        })),
      );
      return withOrigins(rows, ports.configured, invited);
    },
    proofAgainst: async (peer) => {
      const proof = await journal.proofAgainst(peer);
      return proof.ok ? { ok: true, value: proofFileOf(proof.value) } : refuse(proof.code, proof.text);
    },
    checkpoints: async () =>
      (await journal.checkpoints()).map((one) => ({ ...one, note: Buffer.from(one.note).toString('utf8') })),
    endEventKey: async (peer, { keyid, lastSeq, text }) => {
      const ended = await journal.endKey(peer, { keyid, lastSeq, reason: reasonOf('KEY_COMPROMISED', text) });
      return ended.ok ? { ok: true, value: { key: keyid } } : refuse(ended.code, ended.text);
    },
    agreements: ports.agreements,
    certificates: ports.certificates,
    hosts: async () => machines.hostNames.map((name) => hostRow(ports, name)),
    images: async () => (await machines.inventory.images()).map(imageRow),
    registerImage: (image, principal) => guarded(() => registerImage(machines, image, principal)),
    verifyImage: (name) => verifyImage(machines, name),
    vms: async () => (await machines.inventory.vms()).map((held) => vmRow(machines, held)),
    createVm: (request, principal) => guarded(() => createVm(machines, request, principal)),
    setVmPower: (vm, power, principal) => guarded(() => setPower(machines, vm, power, principal)),
    restrictVm: async (vm, change, who) => {
      const restricted = await restrictVm(machines, vm, change, who);
      return restricted.ok ? { ok: true, value: vmRow(machines, restricted.value) } : restricted;
    },
    deleteVm: (vm, principal) => guarded(() => deleteVm(machines, vm, principal)),
    apiKeys: () => ports.apiKeys.list(),
    createApiKey: (request, principal) => ports.apiKeys.create(request, principal),
    revokeApiKey: (id, principal) => ports.apiKeys.revoke(id, principal),
    exportLedgers: (peer) => exportLines(journal, new Date(ports.nowMs()).toISOString(), peer, machines.keys),
  };

  /** Whoever was told the migration's id may ask for it at once. */
  async function taken(request: IntentRequest, record: RequestRecord, shown: Credential): Promise<ServiceResult<IntentAccepted>> {
    const known = await views.get(request.migration, self);
    if (known !== undefined && known.vm !== request.vm)
      return refuse('MIGRATION_ID_TAKEN', `${request.migration} was asked for with another VM`);
    const accepted = await intend(intake, request, record, shown);
    if (accepted.ok) await views.record(rowsOf(await intake.ledgers.journey(request.vm, request.target)));
    return accepted;
  }

  async function diagnosisOf(id: MigrationId): Promise<DiagnosisRow | undefined> {
    const found = await stateOf(id);
    if (found === undefined) return undefined;
    const { journey, m } = found;
    const peer = m.source === self ? m.target : m.source;
    return diagnosisRow(journey, m, {
      self,
      now: now(),
      peer: (await journal.peersState()).find((state) => state.peer === peer),
      hostsSilent: machines.hostNames.filter((host) => !hosts.client.registry.isUp(host)),
      lastFailure: ports.failures.last(m.id),
      isGlassUnpermitted: intake.policy.isGlassUnpermitted(),
    });
  }

  function detailOf(
    journey: Journey,
    m: MigrationState,
  ): Pick<MigrationDetail, 'rekey' | 'receipts' | 'owed' | 'custody' | 'progress' | 'transferredBytes' | 'lastFailure'> {
    const owed = react(journey, self, now()).filter((command) => command.migration === m.id);
    const progress = hosts.progress(m.id);
    const lastFailure = ports.failures.last(m.id);
    const transferredBytes = hosts.transferredBytes(m.id);
    return {
      rekey: rekeyRow(m),
      receipts: receiptRows(m),
      owed: owed.map((command) => ({ command: command.type })),
      custody: custodyOf(m),
      ...(progress === undefined ? {} : { progress }),
      ...(transferredBytes === undefined ? {} : { transferredBytes }),
      ...(lastFailure === undefined ? {} : { lastFailure }),
    };
  }
}

const certificateOf = (standing: Awaited<ReturnType<Journal['standing']>>): { readonly certificate?: string } =>
  standing === undefined ? {} : { certificate: standing.ok ? 'good' : standing.code };
/** Who could open the image from when on. Entries at which only a suspended key goes change nothing of that. */
function custodyOf(m: MigrationState): MigrationDetail['custody'] {
  const same = (a: readonly string[], b: readonly string[] | undefined): boolean => a.join() === b?.join();
  return summarize(m)
    .custody.filter(({ canOpen }, i, all) => !same(canOpen, all[i - 1]?.canOpen))
    .map(({ at, canOpen }) => ({ at, domains: canOpen }));
}

function hostRow({ hosts }: ServicePorts, name: MachinePorts['hostNames'][number]): HostRow {
  const { registry } = hosts.client;
  const hello = registry.hello(name);
  const heard = registry.heardAtMs(name);
  return {
    name,
    state: registry.isUp(name) ? 'up' : 'down',
    ...(heard === undefined ? {} : { lastHeardAt: new Date(heard).toISOString() }),
    vms: hello?.vms.length ?? 0,
    memoryMiB: hello?.capacity.memoryMiBFree ?? 0,
    freeDiskBytes: hello?.capacity.volumeBytesFree ?? 0,
    ...(hello === undefined ? {} : { libvirtVersion: hello.libvirt.version }),
  };
}
