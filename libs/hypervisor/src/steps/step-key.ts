import type { Digest } from '@carnet/events';
import type { HostCommand } from '../command/command.ts';
import { isMigrationCommand } from '../command/command.ts';
import { sha256 } from '../digest.ts';

/** A step's name in the log: what is idempotent. Steps that come once per epoch, or once per round of it, or once per command. */
export const stepKey = (of: { readonly step: string; readonly epoch: number; readonly round?: number }): string =>
  of.round === undefined ? `${of.step}@${of.epoch}` : `${of.step}@${of.epoch}#${of.round}`;

/** What people ask for is known by the command alone. */
const OF_PEOPLE = ':';
export const isOfPeople = (key: string): boolean => key.includes(OF_PEOPLE);

export function keyOf(command: HostCommand): string {
  if (!isMigrationCommand(command)) return `${command.step}${OF_PEOPLE}${command.id}`;
  const { step, epoch } = command;
  if (step === 'seal' || step === 'receive' || step === 'serve') return stepKey({ step, epoch, round: command.body.round });
  return step === 'trialUnlock' ? `${stepKey({ step, epoch })}/${command.body.where}` : stepKey({ step, epoch });
}

/** Steps that only look, or whose effect lives in memory or is a lease: done again each time, never answered from the log. */
const REPEATED: ReadonlySet<HostCommand['step']> = new Set([
  'listImages',
  'registerImage',
  'verifyImage',
  'inspect',
  'provideSecrets',
  'preflight',
  'reserve',
  'trialUnlock',
  'serve',
  'observe',
]);
export const isRecorded = ({ step }: HostCommand): boolean => !REPEATED.has(step);

/** What makes two commands for one step the same: not their sealed secrets (they differ each time), ids or deadlines. */
function contentOf(command: HostCommand): unknown {
  switch (command.step) {
    case 'createVm':
      return [command.body.spec, command.body.from?.image];
    case 'quiesce':
      return [command.body.mode, command.body.memory?.artifact];
    case 'seal':
      return [command.body.chunkBytes, command.body.artifacts];
    case 'receive':
      return [command.body.artifacts];
    case 'rekey':
      return [command.body.method, command.body.volumes.map(({ artifact, from, to }) => [artifact, from.key, to.key])];
    case 'reencrypt':
      return command.body.volumes.map(({ artifact, from, to }) => [artifact, from.key, to.key]);
    case 'start':
      return [command.body.spec, command.body.vcpus, command.body.memory?.artifact];
    case 'resume':
      return [command.body.proof];
    default:
      return [];
  }
}

export const contentDigest = (command: HostCommand): Digest => sha256(JSON.stringify([command.step, contentOf(command)]));
