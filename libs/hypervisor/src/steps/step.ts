import type { Evidence, HostName, KeyId, SignedEvidence, TrustDomain } from '@carnet/events';
import { failed, HostError, refused, type Setback } from '../codes.ts';
import type { CommandOf, HostStep, MigrationCommand, VmCommand } from '../command/command.ts';
import { isMigrationCommand } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import type { ResultOf, StepResult } from '../command/result.ts';
import type { SealedSecret } from '../command/scalars.ts';
import type { FenceRegister } from '../fence/register.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { HostPorts } from '../ports/host-ports.ts';
import { imageContext, type SecretPurpose } from '../secret-context.ts';
import type { Seen, StepLog } from '../step-log.ts';
import { stepKey } from './step-key.ts';

export type Finished<S extends HostStep = HostStep> = {
  readonly status: 'done';
  readonly result: ResultOf<S>;
  readonly evidence?: SignedEvidence;
};
export type StepEnd<S extends HostStep = HostStep> = Finished<S> | Setback;

export type HostIdentity = { readonly domain: TrustDomain; readonly host: HostName };

/** What a step works with. Everything that it may touch is a port; everything that it must remember is the log or the register. */
export type StepContext = {
  readonly self: HostIdentity;
  readonly ports: HostPorts;
  readonly fence: FenceRegister;
  readonly log: StepLog;
  /** Aborted when the agent drains or the migration is being undone. */
  readonly signal: AbortSignal;
  progress(now: StepProgress): void;
  /** Records what is about to happen, before the first effect. Returns what was seen the first time, also after a crash. */
  intend(seen: Seen): Promise<Seen>;
  /** Zeroed when the step ends. */
  keep(secret: Uint8Array): void;
};

export type Step<S extends HostStep> = (command: CommandOf<S>, context: StepContext) => Promise<StepEnd<S>>;

export const finished = <S extends StepResult['step']>(result: ResultOf<S>, evidence?: SignedEvidence): Finished<S> =>
  evidence === undefined ? { status: 'done', result } : { status: 'done', result, evidence };

/** Testifies to what this host sees now. */
export const testify = (
  { ports, self }: StepContext,
  command: MigrationCommand,
  kind: Evidence['kind'],
  facts: Evidence['facts'],
): SignedEvidence =>
  ports.signEvidence({
    kind,
    domain: self.domain,
    host: self.host,
    vm: command.vm,
    migration: command.migration,
    epoch: command.epoch,
    time: ports.clock.now(),
    facts,
  });

/** Moves the fence for this command, citing its cause. */
export const moveFor = (
  { fence, ports }: StepContext,
  command: VmCommand,
  move: Parameters<FenceRegister['move']>[0],
): ReturnType<FenceRegister['move']> =>
  fence.move(move, {
    vm: command.vm,
    because: isMigrationCommand(command) ? command.because : null,
    time: ports.clock.now(),
  });

/** Opens one secret that was sealed for exactly this use on this host. */
export async function openSecret(
  { ports, self, keep }: StepContext,
  command: VmCommand,
  purpose: SecretPurpose,
  sealed: SealedSecret,
): Promise<Outcome<Uint8Array>> {
  const epoch = isMigrationCommand(command) ? command.epoch : 0;
  return demandDek(await ports.openSecret(sealed, { ...self, vm: command.vm, epoch, purpose }), keep);
}

/** Opens the key of an image, which belongs to no VM. */
export async function openImageSecret({ ports, self, keep }: StepContext, sealed: SealedSecret): Promise<Outcome<Uint8Array>> {
  const vm = imageContext(self.domain, sealed.key);
  return demandDek(await ports.openSecret(sealed, { ...self, vm, epoch: 0, purpose: 'run' }), keep);
}

const DEK_BYTES = 32;

function demandDek(opened: Outcome<Uint8Array>, keep: StepContext['keep']): Outcome<Uint8Array> {
  if (!opened.ok) return opened;
  keep(opened.value);
  return opened.value.length === DEK_BYTES ? opened : setBack(refused('SECRET_REFUSED', `Expected ${DEK_BYTES} bytes.`));
}

/** OpenStack's and our derivation `luks-passphrase-hex`: the lowercase hex of the DEK, as bytes that can be zeroed. */
export function luksPassphrase({ keep }: StepContext, dek: Uint8Array): Uint8Array {
  const digits = Buffer.from('0123456789abcdef');
  const passphrase = new Uint8Array(dek.length * 2);
  dek.forEach((byte, i) => {
    passphrase[2 * i] = digits[byte >> 4] ?? 0;
    passphrase[2 * i + 1] = digits[byte & 15] ?? 0;
  });
  keep(passphrase);
  return passphrase;
}

/** Passphrases of all these keys; the first missing or unopenable one is the answer. */
export async function openPassphrases(
  context: StepContext,
  command: VmCommand,
  keys: readonly KeyId[],
  sealed: readonly SealedSecret[],
  purpose: SecretPurpose = 'run',
): Promise<Outcome<ReadonlyMap<KeyId, Uint8Array>>> {
  const passphrases = new Map<KeyId, Uint8Array>();
  for (const key of keys) {
    const found = sealed.find((secret) => secret.key === key);
    if (found === undefined) return setBack(refused('SECRET_MISSING', `(${key})`));
    const dek = await openSecret(context, command, purpose, found);
    if (!dek.ok) return dek;
    passphrases.set(key, luksPassphrase(context, dek.value));
  }
  return done(passphrases);
}

/** An accident as the broker shall hear it; anything unknown is a bug, told without its text (it might quote a secret). */
export function setbackOf(cause: unknown, { aborted }: AbortSignal): Setback {
  if (cause instanceof HostError) return cause.setback;
  return aborted ? failed('STEP_ABORTED') : failed('INTERNAL');
}

/**
 * The resume of this very epoch has begun: whatever else comes for it was sent before its broker gave it up. Threat: a surrender that was under way
 * would give away what the withdrawal has already taken back, and nobody could start it any more.
 */
export const isGivenUp = ({ log }: StepContext, { epoch }: Pick<MigrationCommand, 'epoch'>): boolean =>
  log.intent(stepKey({ step: 'resume', epoch })) !== undefined;
