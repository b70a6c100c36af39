import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  artifactId,
  type Digest,
  digest,
  type HostName,
  type HpkeKem,
  type KeyId,
  keyId,
  type MigrationId,
  type Reason,
  type RekeyMethod,
  type Timestamp,
  type TrustDomain,
  type VmSpec,
} from '@carnet/events';
import type { SealedSecret } from '@carnet/hypervisor';
import type { HostPurpose } from '@carnet/keys';
import type { Outcome } from '@carnet/runtime';
import { type Command, type CommandOf, type CommandType, type Journey, type Proposal, react } from '@carnet/saga';
import type { AloneWith } from '../alone.ts';
import type { Here } from '../here.ts';
import type { Hosts, StepOf, StepOutcome } from '../hosts/steps.ts';
import type { Inventory } from '../inventory.ts';
import type { HandoverKeys } from '../keys/handover-keys.ts';
import type { Ledgers, Making, Proposed } from '../ledgers.ts';
import type { PeerTrust } from '../peers/peer-trust.ts';
import type { PolicyGate } from '../policy-gate.ts';
import type { Quotas } from '../quotas.ts';
import { reasonOf } from '../reason.ts';

/** What performers reach the world through. All they know of a migration comes with the command; all they do is idempotent. */
export interface PerformContext {
  readonly self: TrustDomain;
  readonly ledgers: Ledgers;
  readonly keys: HandoverKeys;
  readonly hosts: Hosts;
  readonly inventory: Inventory;
  readonly policy: PolicyGate;
  readonly peers: PeerTrust;
  readonly alone: AloneWith;
  readonly quotas: Quotas;
  readonly settings: {
    readonly rollbackWindowMs: number;
    readonly graceSeconds: number;
    /** The least that is done to volumes that arrive. */
    readonly rekeyArriving: RekeyMethod;
    /** To what keys that leave may be sealed. */
    readonly kemsLeaving: readonly HpkeKem[];
    /** What this CSP, as a target, has keys sealed to. */
    readonly kemArriving: HpkeKem;
    /** Offers that one peer may leave unanswered. */
    readonly unansweredOffers: number;
  };
  /** Whether keys and inventory hold what the ledger says they do; what a restored database has lost is brought back. */
  readonly here: (journey: Journey) => Promise<Here>;
  readonly nowMs: () => number;
}

/** The saga's command; of that name, the hosts have commands, too. */
export type Owed<C extends CommandType> = CommandOf<C>;

/** By rule: this migration cannot go on from here, and this is why. Ends it from this side. */
export interface GiveUp {
  readonly kind: 'give-up';
  readonly reason: Reason;
}

export type Performed = Outcome | GiveUp;
export type Performer<C extends CommandType> = (context: PerformContext, command: Owed<C>) => Promise<Performed>;

export const RECORDED: Outcome = { kind: 'recorded' };
/** Steps at hosts are asked again this soon: often enough for progress, seldom enough for a hundred migrations. */
export const ASK_AGAIN_MS = 250;
export const RUNNING: Outcome = { kind: 'running', afterMs: ASK_AGAIN_MS };
export const failed = (code: string, text: string): Outcome => ({ kind: 'failed', code, text });

export const giveUp = (code: string, text: string): GiveUp => ({ kind: 'give-up', reason: reasonOf(code, text) });

/** What hosts know of a VM. Its restrictions are its CSP's business, and change without the host. */
export function machineOf(spec: VmSpec): VmSpec {
  const { restrictions: _, ...machine } = spec;
  return machine;
}

export const stepOf = (command: Command, host: HostName): StepOf => ({
  host,
  vm: command.vm,
  migration: command.migration,
  epoch: command.epoch,
  because: command.because,
});

/** What a step that is not done means for its performer: wait, try again, or give the migration up. */
export function unfinished(outcome: Exclude<StepOutcome<never>, { readonly kind: 'done' }>): Performed {
  switch (outcome.kind) {
    case 'running':
      return RUNNING;
    case 'failed':
      return failed(outcome.code, outcome.text);
    case 'refused':
      return giveUp(outcome.code, outcome.text);
  }
}

/** Refusals of `decide` that mean: somebody else (the other replica, an operator) was quicker. A fresh look tells what is owed now. */
const OVERTAKEN: ReadonlySet<string> = new Set([
  'WRONG_PHASE',
  'PEER_GAVE_UP',
  'SECOND_DEPOSIT',
  'TOO_LATE',
  'ALREADY_RELEASED',
  'ALREADY_STARTED',
]);
const LOOK_AGAIN_MS = 200;
export const LOOK_AGAIN: Outcome = { kind: 'running', afterMs: LOOK_AGAIN_MS };

export async function propose(context: PerformContext, command: Command, make: Making<Proposal>): Promise<Performed> {
  return afterProposal(await context.ledgers.propose(command.vm, command.peer, make));
}

export function afterProposal(proposed: Proposed): Performed {
  if (proposed.ok) return RECORDED;
  if (OVERTAKEN.has(proposed.code)) return LOOK_AGAIN;
  return failed(proposed.code, proposed.text);
}

/** A UUIDv8 (RFC 9562) that follows from the migration, so that a crash between key and event cannot make two. */
function derivedUuid(label: string, migration: MigrationId): string {
  const hex = createHash('sha256').update(`${label}\n${migration}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The saved memory of one migration, and the key that seals it once. */
export const memoryOf = (migration: MigrationId): { readonly artifact: ArtifactId; readonly key: KeyId } => ({
  artifact: artifactId.parse(derivedUuid('carnet/memory-artifact/v1', migration)),
  key: keyId.parse(derivedUuid('carnet/memory-key/v1', migration)),
});

export const leafDigestOf = (chain: readonly string[]): Digest =>
  digest.parse(
    createHash('sha256')
      .update(Buffer.from(chain[0] ?? '', 'base64'))
      .digest('hex'),
  );

/** One key for one host, VM, epoch and purpose, sealed to the agent's own key: the bus carries ciphertext only. */
export const secret = (
  context: Pick<PerformContext, 'keys'>,
  command: Command,
  host: HostName,
  purpose: HostPurpose,
  key: KeyId,
): Promise<SealedSecret> => {
  const by = { reason: 'MIGRATION', migration: command.migration } as const;
  return context.keys.secretForHost({ host, vm: command.vm, epoch: command.epoch, purpose, by }, key);
};

/**
 * Whether a command is still owed when nothing of our own side is half said any more; asked before what cannot be taken back at a host. undefined: it
 * is. Else what becomes of it: the journey is looked at anew.
 */
export async function overtaken({ ledgers, self, nowMs }: PerformContext, command: Command): Promise<Outcome | undefined> {
  const settled = await ledgers.settled(command.vm, command.peer);
  if (!settled.ok) return failed(settled.code, settled.text);
  const now = new Date(nowMs()).toISOString() as Timestamp;
  const owed = react(settled.journey, self, now).some(
    ({ type, migration }) => type === command.type && migration === command.migration,
  );
  return owed ? undefined : RUNNING;
}
