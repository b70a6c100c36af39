import { type HostName, keysOf, type Reason } from '@carnet/events';
import type { CommandOf } from '@carnet/hypervisor';
import { REVOKED } from '@carnet/journal';
import { type Command, type Fact, migrationOf } from '@carnet/saga';
import type { StepOutcome } from '../hosts/steps.ts';
import { KeyRefused } from '../keys/handover-keys.ts';
import { profileFault } from '../keys/profiles.ts';
import { CHUNK_BYTES, depositVolumes, sealedArtifactsOf } from './artifacts.ts';
import {
  afterProposal,
  failed,
  giveUp,
  machineOf,
  memoryOf,
  type Owed,
  overtaken,
  type PerformContext,
  type Performed,
  type Performer,
  propose,
  secret,
  stepOf,
  unfinished,
} from './context.ts';
import { checkEvidence } from './evidence.ts';
import { receiptOf } from './receipt.ts';
import { proposeWithdrawal } from './withdrawal.ts';

const EVIDENCE_MISSING = failed('EVIDENCE_MISSING', 'the host gave no signed evidence');

/** Preflight at our own host, then pin both agents: nothing is stopped, nothing is copied. */
export const agreeOffer: Performer<'AgreeOffer'> = async (context, command) => {
  const { MigrationIntended: intent, MigrationOffered: offer } = command.facts;
  const fault = context.peers.agentFault(command.peer, offer.data.agent);
  if (fault !== undefined) return { kind: 'give-up', reason: fault };
  const unfit = profileFault(offer.data, context.settings.kemsLeaving);
  if (unfit !== undefined) return { kind: 'give-up', reason: unfit };
  const outside = await context.peers.agreementFault(command.peer, {
    mode: command.mode,
    target: command.peer,
    kem: offer.data.kem,
  });
  if (outside !== undefined) return { kind: 'give-up', reason: outside };
  const host = await context.inventory.hostOf(command.vm);
  if (host === undefined) return giveUp('VM_NOT_HERE', 'this CSP no longer holds the VM');
  const checked = await context.hosts.step(stepOf(command, host), 'preflight', async () => ({
    spec: machineOf(intent.data.spec),
    mode: command.mode,
  }));
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
      disks.map(async (disk) => ({
        artifact: disk.artifact,
        capacityBytes: disk.capacityBytes,
        secret: await secret(context, command, host, 'trial-unlock', disk.key),
      })),
    ),
  }));
  if (unlocked.kind !== 'done') return unfinished(unlocked);
  const volumes = depositVolumes(disks, unlocked.result.volumes);
  const deposited = await context.keys.deposit(
    command,
    volumes,
    command.mode === 'suspend' ? memoryOf(command.migration) : undefined,
  );
  if (!deposited.ok) return giveUp(deposited.code, deposited.text);
  return propose(context, command, async (tx) => {
    const data = await deposited.value.record(tx.db);
    return data.ok ? { type: 'KeyDeposited', migration: command.migration, data: data.value } : data;
  });
};

/**
 * Only after the target's promise, and its proof that it holds the deposit: no liar makes us stop a VM. The host raises its fence
 * register first, so nothing starts the VM behind our back.
 */
export const quiesceVm: Performer<'QuiesceVm'> = async (context, command) => {
  const confirmed = await context.keys.confirm(command);
  if (!confirmed.ok) return giveUp(confirmed.code, confirmed.text);
  const other = await overtaken(context, command);
  if (other !== undefined) return other;
  const { OfferAgreed: agreed, TargetReady: ready, KeyDeposited: deposit } = command.facts;
  const { host } = agreed.data.agent;
  const memory = deposit.data.keys.find((key) => key.kind === 'memory');
  const stopped = await context.hosts.step(stepOf(command, host), 'quiesce', async () => ({
    mode: command.mode,
    graceSeconds: context.settings.graceSeconds,
    ...(memory === undefined
      ? {}
      : { memory: { artifact: memory.artifact, secret: await secret(context, command, host, 'seal', memory.key) } }),
  }));
  if (stopped.kind !== 'done') return unfinished(stopped);
  const { evidence } = stopped;
  if (evidence === undefined) return EVIDENCE_MISSING;
  return propose(context, command, async () => ({
    type: 'SourceQuiesced',
    migration: command.migration,
    data: { ready: ready.digest, evidence },
  }));
};

/** Manifests of everything that travels; from here on the pinned target agent may pull, and nobody else. */
export const sealImage: Performer<'SealImage'> = async (context, command) => {
  const { MigrationIntended: intent, MigrationOffered: offer, OfferAgreed: agreed, KeyDeposited: deposit } = command.facts;
  const { host } = agreed.data.agent;
  const artifacts = deposit.data.keys.map(({ artifact, kind }) => ({ artifact, kind }));
  const sealed = await context.hosts.step(stepOf(command, host), 'seal', async () => ({
    round: 0,
    chunkBytes: CHUNK_BYTES,
    artifacts,
  }));
  if (sealed.kind !== 'done') return unfinished(sealed);
  const served = await context.hosts.step(stepOf(command, host), 'serve', async () => ({
    round: 0,
    artifacts: artifacts.map((one) => one.artifact),
    peer: offer.data.agent.chain,
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
 * before a crash, can never meet a VM that runs here. Nothing is released to a peer of whom it is not known, now, that it is one.
 */
export const releaseKeys: Performer<'ReleaseKeys'> = async (context, command) => {
  const { OfferAgreed: agreed, MigrationOffered: offer } = command.facts;
  // Before the surrender: until then our own withdrawal brings the VM back.
  const fault = await context.peers.releaseFault(command.peer, offer.data.agent);
  if (fault?.code === REVOKED) return giveUp('PEER_REVOKED', fault.text);
  if (fault !== undefined) return failed(fault.code, fault.text);
  // A database that was restored may have lost our own withdrawal: nobody but the peer could bring back what was surrendered then.
  const other = await overtaken(context, command);
  if (other !== undefined) return other;
  const surrendered = await context.hosts.step(stepOf(command, agreed.data.agent.host), 'surrender', async () => ({}));
  if (surrendered.kind !== 'done') return unfinished(surrendered);
  const released = await context.keys.release(command);
  if (!released.ok) return giveUp(released.code, released.text);
  return propose(context, command, async (tx) => {
    const data = await released.value.record(tx.db);
    return data.ok ? { type: 'KeyReleased', migration: command.migration, data: data.value } : data;
  });
};

/**
 * Runs the VM again. After a release only the word of the target's pinned agent counts, that this epoch never runs there; the
 * keys are active again before the host asks for them. A memory key has served now.
 */
export const resumeVm: Performer<'ResumeVm'> = async (context, command) => {
  const host = await context.inventory.hostOf(command.vm);
  if (host === undefined) return failed('VM_NOT_HERE', 'the inventory has lost the VM before it resumed');
  const isReleased =
    command.brokeGlass === undefined && command.relinquished !== undefined && command.cites === command.relinquished.digest;
  if (isReleased && !(await isForsworn(context, command, command.relinquished)))
    return failed('EVIDENCE_INVALID', 'the evidence that the VM never runs there is not that of the pinned agent');
  await context.keys.reinstate(undefined, command);
  const resumed = await resumeAtHost(context, command, host, isReleased);
  if (resumed.kind === 'refused') return failed(resumed.code, resumed.text);
  if (resumed.kind !== 'done') return unfinished(resumed);
  const { evidence, result } = resumed;
  return propose(context, command, async (tx) => {
    await context.keys.memoryUsed(tx.db, command.vm, [{ key: memoryOf(command.migration).key, kind: 'memory' }]);
    return { type: 'Resume', migration: command.migration, ran: result.ran, ...(evidence === undefined ? {} : { evidence }) };
  });
};

async function isForsworn(
  context: PerformContext,
  command: Owed<'ResumeVm'>,
  relinquished: Fact<'MigrationRelinquished'>,
): Promise<boolean> {
  const offer = await offerOf(context, command);
  return (
    offer !== undefined &&
    (
      await checkEvidence(context, {
        signed: relinquished.data.never,
        agent: offer.data.agent,
        about: { ...command, domain: command.peer, kind: 'never' },
        event: relinquished.digest,
      })
    ).ok
  );
}

const offerOf = async (
  context: PerformContext,
  { vm, peer, migration }: Command,
): Promise<Fact<'MigrationOffered'> | undefined> =>
  migrationOf(await context.ledgers.journey(vm, peer), migration, context.self, 'source')?.facts.MigrationOffered;

/** Refusals after which the peer's word may do what our own withdrawal could not: the host had surrendered, or began with the other proof. */
const NEEDS_PEERS_WORD: ReadonlySet<string> = new Set(['PROOF_MISSING', 'STEP_CONFLICT']);

/** One attempt has one proof, and a host refuses another for a step that it began: so our own word goes first, always. */
export async function resumeAtHost(
  context: Pick<PerformContext, 'hosts' | 'keys'>,
  command: Owed<'ResumeVm'>,
  host: HostName,
  isReleased: boolean,
): Promise<StepOutcome<'resume'>> {
  const needed = keysOf(command.facts.MigrationIntended.data.spec);
  // A broken glass opened another epoch: the host's register rises to it, and what is late is refused by number.
  const of = { ...command, epoch: command.brokeGlass?.data.opens ?? command.epoch };
  const resume = (proof: CommandOf<'resume'>['body']['proof']): Promise<StepOutcome<'resume'>> =>
    context.hosts.step(stepOf(of, host), 'resume', async () => ({
      proof,
      secrets: await Promise.all(needed.map((key) => secret(context, of, host, 'run', key))),
      ...(command.mode === 'suspend' ? await savedMemory(context, of, host) : {}),
    }));
  if (command.brokeGlass !== undefined)
    return resume({ kind: 'broke-glass', event: command.brokeGlass.digest, surrendered: command.epoch });
  const peers =
    command.relinquished === undefined ? undefined : ({ kind: 'relinquished', event: command.relinquished.digest } as const);
  if (isReleased && peers !== undefined) return resume(peers);
  const resumed = await resume({ kind: 'withdrawn', event: command.cites });
  return peers !== undefined && resumed.kind === 'refused' && NEEDS_PEERS_WORD.has(resumed.code) ? resume(peers) : resumed;
}

const MEMORY_KEY_LOST: ReadonlySet<string> = new Set(['KEY_UNKNOWN', 'KEY_NOT_ACTIVE']);

/**
 * What opens the saved memory. Its key is as young as the migration, and a database that was restored from before does not have it, or has
 * destroyed it with a move of which it did not know that it saved anything: no asking brings it back, and the VM would stay off for ever. Then it
 * boots from its disks, as after a power cut.
 */
async function savedMemory(context: Pick<PerformContext, 'keys'>, of: Owed<'ResumeVm'>, host: HostName) {
  const { artifact, key } = memoryOf(of.migration);
  try {
    return { memory: { artifact, secret: await secret(context, of, host, 'unseal', key) } };
  } catch (cause) {
    if (cause instanceof KeyRefused && MEMORY_KEY_LOST.has(cause.code)) return {};
    throw cause;
  }
}

/** Destroys what the VM left here, once the target's pinned agent testified that it runs there. The receipt says what nobody can prove. */
export const retireSource: Performer<'RetireSource'> = async (context, command) => {
  const { MigrationFinalized: finalized, KeyDeposited: deposit, VmStarted: started } = command.facts;
  const offer = await offerOf(context, command);
  if (offer === undefined) return failed('EVIDENCE_INVALID', 'no offer pins the agent that testified');
  const testimony = await checkEvidence(context, {
    signed: started.data.evidence,
    agent: offer.data.agent,
    about: { ...command, domain: command.peer, kind: 'started' },
    event: started.digest,
  });
  if (!testimony.ok) return failed(testimony.code, `the VM was not shown to be started: ${testimony.text}`);
  const host = await context.inventory.hostOf(command.vm);
  if (host === undefined) return failed('VM_NOT_HERE', 'the inventory has lost the VM before its retirement');
  const other = await overtaken(context, command);
  if (other !== undefined) return other;
  const retired = await context.hosts.step(stepOf(command, host), 'retire', async () => ({}));
  if (retired.kind === 'refused') return failed(retired.code, retired.text);
  if (retired.kind !== 'done') return unfinished(retired);
  const { evidence } = retired;
  return propose(context, command, async (tx) => {
    await context.keys.retire(tx.db, command);
    await context.inventory.remove(tx.db, command.vm);
    return {
      type: 'SourceRetired',
      migration: command.migration,
      data: {
        finalized: finalized.digest,
        receipt: receiptOf({
          keys: deposit.data.keys,
          artifacts: deposit.data.keys.map((one) => one.artifact),
          fates: retired.result.fates,
          evidence,
        }),
      },
    };
  });
};

/** What was done so far is undone by what `react` owes next. */
export const withdraw = async (context: PerformContext, command: Command, reason: Reason): Promise<Performed> =>
  afterProposal(await proposeWithdrawal(context, command, reason));
