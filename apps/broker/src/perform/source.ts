import type { Reason } from '@carnet/events';
import type { Command } from '@carnet/saga';
import { CHUNK_BYTES, depositVolumes, sealedArtifactsOf } from './artifacts.ts';
import { failed, giveUp, leafDigestOf, memoryArtifact, type PerformContext, type Performed, type Performer, propose, stepOf, unfinished } from './context.ts';

/** A guest asked to shut down gets this long before its power is cut: a cold move must not wait for ever. */
const GRACE_SECONDS = 10;
const EVIDENCE_MISSING = failed('EVIDENCE_MISSING', 'the host gave no signed evidence');

/** Preflight at our own host, then pin both agents: nothing is stopped, nothing is copied. */
export const agreeOffer: Performer<'AgreeOffer'> = async (context, command) => {
  const { MigrationIntended: intent, MigrationOffered: offer } = command.facts;
  const host = await context.inventory.hostOf(command.vm);
  if (host === undefined) return giveUp('VM_NOT_HERE', 'this CSP no longer holds the VM');
  const checked = await context.hosts.step(stepOf(command, host), 'preflight', async () => ({ spec: intent.data.spec, mode: command.mode }));
  if (checked.kind !== 'done') return unfinished(checked);
  const hello = context.hosts.client.registry.hello(host);
  if (hello === undefined) return failed('HOST_UNAVAILABLE', `host ${host} has not announced itself yet`);
  return propose(context, command, async () => ({
    type: 'OfferAgreed',
    migration: command.migration,
    data: { offer: offer.digest, agent: { host, chain: hello.chain }, dataPath: checked.result.dataPath },
  }));
};

/** All keys of the VM in one event, after a trial unlock here: a key that does not open its volume must never travel. */
export const depositKeys: Performer<'DepositKeys'> = async (context, command) => {
  const { MigrationIntended: intent, OfferAgreed: agreed } = command.facts;
  const { host } = agreed.data.agent;
  const { disks } = intent.data.spec;
  const unlocked = await context.hosts.step(stepOf(command, host), 'trialUnlock', async () => ({
    where: 'volumes',
    volumes: await Promise.all(
      disks.map(async (disk) => ({ artifact: disk.artifact, capacityBytes: disk.capacityBytes, secret: await context.keys.secretForHost(host, command.vm, disk.key) })),
    ),
  }));
  if (unlocked.kind !== 'done') return unfinished(unlocked);
  const volumes = depositVolumes(disks, unlocked.result.volumes);
  return propose(context, command, async (tx) => {
    const data = await context.keys.deposit(tx, command, volumes, command.mode === 'suspend' ? memoryArtifact(command.migration) : undefined);
    return 'ok' in data ? data : { type: 'KeyDeposited', migration: command.migration, data };
  });
};

/** Only after the target's promise. The host raises its fence register first, so nothing starts the VM behind our back. */
export const quiesceVm: Performer<'QuiesceVm'> = async (context, command) => {
  const { OfferAgreed: agreed, TargetReady: ready, KeyDeposited: deposit } = command.facts;
  const { host } = agreed.data.agent;
  const memory = deposit.data.keys.find((key) => key.kind === 'memory');
  const stopped = await context.hosts.step(stepOf(command, host), 'quiesce', async () => ({
    mode: command.mode,
    graceSeconds: GRACE_SECONDS,
    ...(memory === undefined ? {} : { memory: { artifact: memory.artifact, secret: await context.keys.secretForHost(host, command.vm, memory.key) } }),
  }));
  if (stopped.kind !== 'done') return unfinished(stopped);
  const { evidence } = stopped;
  if (evidence === undefined) return EVIDENCE_MISSING;
  return propose(context, command, async () => ({ type: 'SourceQuiesced', migration: command.migration, data: { ready: ready.digest, evidence } }));
};

/** Manifests of everything that travels; from here on the pinned target agent may pull, and nobody else. */
export const sealImage: Performer<'SealImage'> = async (context, command) => {
  const { MigrationIntended: intent, MigrationOffered: offer, OfferAgreed: agreed, KeyDeposited: deposit } = command.facts;
  const { host } = agreed.data.agent;
  const artifacts = deposit.data.keys.map(({ artifact, kind }) => ({ artifact, kind }));
  const sealed = await context.hosts.step(stepOf(command, host), 'seal', async () => ({ round: 0, chunkBytes: CHUNK_BYTES, artifacts }));
  if (sealed.kind !== 'done') return unfinished(sealed);
  const served = await context.hosts.step(stepOf(command, host), 'serve', async () => ({
    round: 0,
    artifacts: artifacts.map((one) => one.artifact),
    peer: leafDigestOf(offer.data.agent.chain),
    until: intent.data.deadline,
  }));
  if (served.kind !== 'done') return unfinished(served);
  return propose(context, command, async () => ({
    type: 'ImageSealed',
    migration: command.migration,
    data: { round: 0, final: true, artifacts: sealedArtifactsOf(sealed.result.artifacts) },
  }));
};

/**
 * The host surrenders first: from then on it resumes only on the peer's word, so a release that we decide now, or decided
 * before a crash, can never meet a VM that runs here.
 */
export const releaseKeys: Performer<'ReleaseKeys'> = async (context, command) => {
  const { OfferAgreed: agreed } = command.facts;
  const surrendered = await context.hosts.step(stepOf(command, agreed.data.agent.host), 'surrender', async () => ({}));
  if (surrendered.kind !== 'done') return unfinished(surrendered);
  return propose(context, command, async (tx) => {
    const data = await context.keys.release(tx, command);
    return 'ok' in data ? data : { type: 'KeyReleased', migration: command.migration, data };
  });
};

export const resumeVm: Performer<'ResumeVm'> = async (context, command) => {
  const { MigrationIntended: intent } = command.facts;
  const host = await context.inventory.hostOf(command.vm);
  if (host === undefined) return failed('VM_NOT_HERE', 'this CSP no longer holds the VM');
  const { disks } = intent.data.spec;
  const resumed = await context.hosts.step(stepOf(command, host), 'resume', async () => {
    const memory = await context.keys.memoryKeyOf(command.migration);
    return {
      proof: command.relinquished === undefined ? { kind: 'withdrawn', event: command.cites } : { kind: 'relinquished', event: command.relinquished.digest },
      secrets: await Promise.all(disks.map((disk) => context.keys.secretForHost(host, command.vm, disk.key))),
      ...(memory === undefined ? {} : { memory: { artifact: memory.artifact, secret: await context.keys.secretForHost(host, command.vm, memory.key) } }),
    };
  });
  // A refusal here is no reason to give up: there is nothing left to give up. The peer's word, or an operator, will help.
  if (resumed.kind === 'refused') return failed(resumed.code, resumed.text);
  if (resumed.kind !== 'done') return unfinished(resumed);
  const { evidence, result } = resumed;
  return propose(context, command, async (tx) => {
    await context.keys.reinstate(tx, command.migration, command.cites);
    return { type: 'Resume', migration: command.migration, ran: result.ran, ...(evidence === undefined ? {} : { evidence }) };
  });
};

/** Destroys what the VM left here. The receipt says what was done and what nobody can prove. */
export const retireSource: Performer<'RetireSource'> = async (context, command) => {
  const { MigrationFinalized: finalized, KeyDeposited: deposit } = command.facts;
  const host = await context.inventory.hostOf(command.vm);
  if (host === undefined) return failed('VM_NOT_HERE', 'the inventory has lost the VM before its retirement');
  const retired = await context.hosts.step(stepOf(command, host), 'retire', async () => ({}));
  if (retired.kind === 'refused') return failed(retired.code, retired.text);
  if (retired.kind !== 'done') return unfinished(retired);
  const { evidence } = retired;
  return propose(context, command, async (tx) => {
    await context.keys.destroy(tx, command.migration, finalized.digest);
    await context.inventory.remove(tx.db, command.vm);
    return {
      type: 'SourceRetired',
      migration: command.migration,
      data: {
        finalized: finalized.digest,
        receipt: {
          keys: deposit.data.keys.map((one) => one.key),
          artifacts: deposit.data.keys.map((one) => one.artifact),
          method: 'cryptographic-erase',
          cannotProve: 'that no copy of a key or an image was made before the release; backups and swap of this CSP',
          ...(evidence === undefined ? {} : { evidence }),
        },
      },
    };
  });
};

/** What was done so far is undone by what `react` owes next; the deposit's key is destroyed in the same transaction. */
export const withdraw = async (context: PerformContext, command: Command, reason: Reason): Promise<Performed> =>
  propose(context, command, async (tx) => {
    await context.keys.discard(tx, command.migration);
    return { type: 'Withdraw', migration: command.migration, reason };
  });
