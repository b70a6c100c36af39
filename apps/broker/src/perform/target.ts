import { keysOf, replacedVolumes } from '@carnet/events';
import { migrationOf } from '@carnet/saga';
import { accept } from '@carnet/trust';
import { fitsRoom, rootsOf } from './artifacts.ts';
import { ASK_AGAIN_MS, failed, giveUp, machineOf, type Performer, propose, secret, stepOf, unfinished } from './context.ts';
import { checkEvidence, quiescedWhileRunning } from './evidence.ts';
import { diskKeys, specWith } from './rekey.ts';
import { unlessWhole } from './whole.ts';

/**
 * Proves possession of what was deposited, and nothing else: the keys open nothing before the release. The agreement is judged
 * first: from here on our agent would dial what it names.
 */
export const acknowledgeDeposit: Performer<'AcknowledgeDeposit'> = async (context, command) => {
  const { agent, dataPath } = command.facts.OfferAgreed.data;
  const fault = context.peers.agentFault(command.peer, agent) ?? context.peers.dataPathFault(command.peer, dataPath);
  if (fault !== undefined) return { kind: 'give-up', reason: fault };
  const acknowledged = await context.keys.acknowledge(command);
  if (!acknowledged.ok) return giveUp(acknowledged.code, acknowledged.text);
  return propose(context, command, async (tx) => {
    const data = await acknowledged.value.record(tx.db);
    return data.ok ? { type: 'DepositAcknowledged', migration: command.migration, data: data.value } : data;
  });
};

/** The promise that lets the source stop its VM: capacity is held and the deposit confirmed, until the deadline. */
export const readyTarget: Performer<'ReadyTarget'> = async (context, command) => {
  const { MigrationIntended: intent, OfferAgreed: agreed, DepositAcknowledged: acknowledged } = command.facts;
  return propose(context, command, async () => ({
    type: 'TargetReady',
    migration: command.migration,
    data: { agreed: agreed.digest, acknowledged: acknowledged.digest, until: intent.data.deadline },
  }));
};

/** Nothing is fetched from a source whose own agent did not testify that the VM stands still, nor more than was reserved. */
export const receiveImage: Performer<'ReceiveImage'> = async (context, command) => {
  const { MigrationIntended: intent, MigrationOffered: offer, OfferAgreed: agreed, ImageSealed: sealed } = command.facts;
  const quiesced = migrationOf(await context.ledgers.journey(command.vm, command.peer), command.migration, context.self, 'target')
    ?.facts.SourceQuiesced;
  const kind = command.mode === 'suspend' ? 'saved' : 'stopped';
  const testimony = await checkEvidence(context, {
    signed: quiesced?.data.evidence,
    agent: agreed.data.agent,
    about: { ...command, domain: command.peer, kind },
    event: quiesced?.digest ?? sealed.digest,
  });
  if (!testimony.ok) {
    const text = `the VM was not shown to stand still: ${testimony.text}`;
    return testimony.code === 'EVIDENCE_UNJUDGED' ? failed(testimony.code, text) : giveUp(testimony.code, text);
  }
  if (!fitsRoom(intent.data.spec, sealed.data.artifacts))
    return giveUp('IMAGE_TOO_LARGE', 'the image is larger than the VM that was reserved for');
  const received = await context.hosts.step(stepOf(command, offer.data.agent.host), 'receive', async () => ({
    round: sealed.data.round,
    dataPath: agreed.data.dataPath,
    peer: agreed.data.agent.chain,
    artifacts: sealed.data.artifacts,
  }));
  if (received.kind !== 'done') return unfinished(received);
  return propose(context, command, async () => ({
    type: 'ImageVerified',
    migration: command.migration,
    data: { sealed: sealed.digest, round: sealed.data.round, roots: rootsOf(received.result.roots) },
  }));
};

const VM_PRESENT = 'VM_PRESENT';

/** Opens the release, tries each key on the image that arrived, and only then takes the keys over. Anything amiss ends it here. */
export const importKeys: Performer<'ImportKeys'> = async (context, command) => {
  const { MigrationIntended: intent, MigrationOffered: offer, KeyDeposited: deposit } = command.facts;
  const { host } = offer.data.agent;
  const opened = await context.keys.openRelease(command);
  if (!opened.ok) return giveUp(opened.code, opened.text);
  const unlocked = await context.hosts.step(stepOf(command, host), 'trialUnlock', async () => ({
    where: 'staging',
    volumes: await Promise.all(
      deposit.data.keys
        .filter((key) => key.kind === 'disk')
        .map(async (key) => ({
          artifact: key.artifact,
          capacityBytes: key.capacityBytes,
          ...(key.headerDigest === undefined ? {} : { headerDigest: key.headerDigest }),
          secret: await secret(context, command, host, 'trial-unlock', key.key),
        })),
    ),
  }));
  if (unlocked.kind !== 'done') return unfinished(unlocked);
  const imported = await propose(context, command, async (tx) => {
    const data = await context.keys.importKeys(tx.db, command);
    const isNew = await context.inventory.add(tx.db, { vm: command.vm, spec: intent.data.spec, host, epoch: command.epoch });
    return isNew
      ? { type: 'KeyImported', migration: command.migration, data }
      : { ok: false, code: VM_PRESENT, text: 'the VM is held here already' };
  });
  // The last guard, under the database's own lock: what is held here is never replaced by what a peer sends under its name.
  return imported.kind === 'failed' && imported.code === VM_PRESENT ? giveUp(imported.code, imported.text) : imported;
};

/** Our own point of no return, in the ledger before any start command leaves this broker. */
export const authorizeStart: Performer<'AuthorizeStart'> = async (context, command) => {
  const { MigrationOffered: offer, KeyImported: imported } = command.facts;
  const lost = await unlessWhole(context, command, 'give-back');
  if (lost !== undefined) return lost;
  const ran = command.mode === 'suspend' ? accept(true) : await quiescedWhileRunning(context, command);
  if (!ran.ok) return failed(ran.code, ran.text);
  return propose(context, command, async () => ({
    type: 'StartAuthorized',
    migration: command.migration,
    data: { imported: imported.digest, host: offer.data.agent.host, startVcpus: ran.value },
  }));
};

export const startVm: Performer<'StartVm'> = async (context, command) => {
  const { MigrationIntended: intent, KeyDeposited: deposit, StartAuthorized: authorized } = command.facts;
  const { host, startVcpus } = authorized.data;
  // What destroyed the keys may have been undone with the rest: then the host has forsworn, and the VM goes back.
  const lost = await unlessWhole(context, command, 'give-back');
  if (lost !== undefined) return lost;
  const memory = deposit.data.keys.find((key) => key.kind === 'memory');
  const spec = specWith(intent.data.spec, replacedVolumes(command.rekeyed?.data));
  const started = await context.hosts.step(stepOf(command, host), 'start', async () => ({
    spec: machineOf(spec),
    vcpus: startVcpus ? 'run' : 'held',
    secrets: await Promise.all(keysOf(spec).map((key) => secret(context, command, host, 'run', key))),
    ...(memory === undefined
      ? {}
      : { memory: { artifact: memory.artifact, secret: await secret(context, command, host, 'unseal', memory.key) } }),
  }));
  if (started.kind !== 'done') return unfinished(started);
  const { evidence } = started;
  if (evidence === undefined) return failed('EVIDENCE_MISSING', 'the host gave no signed evidence');
  return propose(context, command, async (tx) => {
    await context.keys.memoryUsed(tx.db, command.vm, deposit.data.keys);
    return { type: 'VmStarted', migration: command.migration, data: { authorized: authorized.digest, evidence } };
  });
};

/** A guest that was started gets this long to show life before the host says that it did not. */
const OBSERVE_SECONDS = 60;

export const observeHealth: Performer<'ObserveHealth'> = async (context, command) => {
  const { StartAuthorized: authorized, VmStarted: started } = command.facts;
  const seen = await context.hosts.step(stepOf(command, authorized.data.host), 'observe', async () => ({
    signs: 'console',
    withinSeconds: OBSERVE_SECONDS,
  }));
  // The VM runs here, healthy or not: there is no way back but another migration, so a silent guest is looked at again.
  if (seen.kind === 'refused') return failed(seen.code, seen.text);
  if (seen.kind !== 'done') return unfinished(seen);
  const { evidence } = seen;
  if (evidence === undefined) return failed('EVIDENCE_MISSING', 'the host gave no signed evidence');
  return propose(context, command, async () => ({
    type: 'VmHealthy',
    migration: command.migration,
    data: { started: started.digest, evidence },
  }));
};

/** Nothing was agreed: the keys that came stay, and that is said. */
export const rekeyVolumes: Performer<'RekeyVolumes'> = async (context, command) =>
  propose(context, command, async () => ({
    type: 'VolumeRekeyed',
    migration: command.migration,
    data: {
      method: command.method,
      artifacts: diskKeys(command.facts.KeyDeposited.data.keys).map((key) => key.artifact),
    },
  }));

export const finalize: Performer<'Finalize'> = async (context, command) => {
  const { VmHealthy: healthy } = command.facts;
  const leftMs = Date.parse(healthy.time) + context.settings.rollbackWindowMs - context.nowMs();
  if (leftMs > 0) return { kind: 'running', afterMs: Math.max(ASK_AGAIN_MS, leftMs) };
  const lost = await unlessWhole(context, command, 'wait');
  if (lost !== undefined) return lost;
  return propose(context, command, async () => ({
    type: 'MigrationFinalized',
    migration: command.migration,
    data: { healthy: healthy.digest, cause: 'window' },
  }));
};
