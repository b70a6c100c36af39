import type { Digest, Epoch, HostName, MigrationId, SignedEvidence, VmId } from '@carnet/events';
import type { CommandOf, HostReply, MigrationStep, ResultOf, StepProgress } from '@carnet/hypervisor';
import type { HostClient } from './client.ts';
import type { SignedCommand } from './wire.ts';

/** What a step of a migration is about. */
export interface StepOf {
  readonly host: HostName;
  readonly vm: VmId;
  readonly migration: MigrationId;
  readonly epoch: Epoch;
  readonly because: Digest;
}

/** What came of asking: the host's own words, sorted into what a performer does next. */
export type StepOutcome<S extends MigrationStep> =
  | { readonly kind: 'done'; readonly result: ResultOf<S>; readonly evidence: SignedEvidence | undefined }
  | { readonly kind: 'running' }
  /** By a rule of the host: asking again would not help. */
  | { readonly kind: 'refused'; readonly code: string; readonly text: string }
  | { readonly kind: 'failed'; readonly code: string; readonly text: string };

export interface Hosts {
  readonly client: HostClient;
  /**
   * Performs one step of a migration. The body is made only when the step is first asked for: sealed secrets differ each time,
   * and a repeat must be the same bytes.
   */
  readonly step: <S extends MigrationStep>(
    of: StepOf,
    step: S,
    body: () => Promise<CommandOf<S>['body']>,
  ) => Promise<StepOutcome<S>>;
  /** How far the step under way is, for people. */
  readonly progress: (migration: MigrationId) => (StepProgress & { readonly step: string }) | undefined;
  /** Ciphertext that travelled here for a migration, in bytes, as far as this replica saw it arrive. */
  readonly transferredBytes: (migration: MigrationId) => number | undefined;
}

interface Asking {
  readonly signed: SignedCommand;
  readonly attempt: number;
}

/** Migrations of which something is remembered, at most: the oldest goes first. A command of some 10 KiB waits for an answer only. */
const REMEMBERED_MAX = 2_000;

function remember<K, V>(among: Map<K, V>, key: K, value: V): void {
  const [oldest] = among.size >= REMEMBERED_MAX && !among.has(key) ? among.keys() : [];
  if (oldest !== undefined) among.delete(oldest);
  among.set(key, value);
}

/** A repeat of the same bytes is a question; after this many milliseconds the command is signed anew. */
const RESIGN_AFTER_MS = 300_000;

const isSilent = (
  reply: Awaited<ReturnType<HostClient['ask']>>,
): reply is Extract<Awaited<ReturnType<HostClient['ask']>>, { readonly status: 'silent' }> => reply.status === 'silent';

export function createHosts(client: HostClient, nowMs: () => number): Hosts {
  const askings = new Map<string, Asking & { readonly atMs: number }>();
  const progress = new Map<MigrationId, StepProgress & { readonly step: string }>();
  const transferred = new Map<MigrationId, number>();

  const signedFor = async <S extends MigrationStep>(
    name: string,
    of: StepOf,
    step: S,
    body: () => Promise<CommandOf<S>['body']>,
  ): Promise<Asking> => {
    const held = askings.get(name);
    if (held !== undefined && nowMs() - held.atMs < RESIGN_AFTER_MS) return held;
    const attempt = (held?.attempt ?? 0) + 1;
    const draft = {
      step,
      host: of.host,
      vm: of.vm,
      migration: of.migration,
      epoch: of.epoch,
      attempt,
      because: of.because,
      body: await body(),
    };
    const asking = { signed: client.sign(draft as Parameters<HostClient['sign']>[0]), attempt, atMs: nowMs() };
    remember(askings, name, asking);
    return asking;
  };

  return {
    client,
    progress: (migration) => progress.get(migration),
    transferredBytes: (migration) => transferred.get(migration),
    step: async (of, step, body) => {
      const name = `${of.host}/${of.migration}/${of.epoch}/${step}/${of.because}`;
      const { signed } = await signedFor(name, of, step, body);
      const reply = await client.ask(signed);
      if (isSilent(reply)) return { kind: 'failed', code: 'HOST_UNAVAILABLE', text: reply.text };
      if (reply.status === 'running') {
        if (reply.progress !== undefined) remember(progress, of.migration, { ...reply.progress, step });
        return { kind: 'running' };
      }
      progress.delete(of.migration);
      const outcome = outcomeOf(reply, step);
      if (reply.status === 'done' && reply.result.step === 'receive')
        remember(transferred, of.migration, reply.result.receivedBytes);
      // Whatever it ended with, the next asking is signed anew: a failed attempt needs fresh secrets, since the agent may have a new
      // transport key; and what is done is answered by the host's own log.
      askings.delete(name);
      return outcome;
    },
  };
}

function outcomeOf<S extends MigrationStep>(reply: Exclude<HostReply, { readonly status: 'running' }>, step: S): StepOutcome<S> {
  switch (reply.status) {
    case 'done':
      if (reply.result.step !== step)
        return { kind: 'failed', code: 'HOST_CONFUSED', text: `asked for ${step}, got ${reply.result.step}` };
      return { kind: 'done', result: reply.result as ResultOf<S>, evidence: reply.evidence };
    case 'failed':
      return { kind: reply.retryable ? 'failed' : 'refused', code: reply.code, text: reply.text };
    case 'refused':
      return { kind: RETRYABLE_REFUSALS.has(reply.code) ? 'failed' : 'refused', code: reply.code, text: reply.text };
  }
}

/** Refusals that pass by themselves: the agent is busy, restarting, or has a new transport key that its next hello brings. */
const RETRYABLE_REFUSALS: ReadonlySet<string> = new Set(['HOST_BUSY', 'HOST_DRAINING', 'SECRET_REFUSED', 'COMMAND_EXPIRED']);
