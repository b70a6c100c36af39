import { digest, dsseEnvelope, epoch, hostName, migrationId, timestamp, vmId } from '@carnet/events';
import { z } from 'zod';
import { ATTEMPTS_MAX } from '../limits.ts';
import { imageBodies, lifeBodies, migrationBodies } from './bodies.ts';
import { commandId } from './scalars.ts';

/** Each command names its host: a signed command for one host is no use at another. */
const common = { id: commandId, host: hostName, deadline: timestamp };

const imageCommand = <const S extends string, B extends z.ZodType>(step: S, body: B) =>
  z.strictObject({ ...common, step: z.literal(step), body }).readonly();

const lifeShape = <const S extends string, B extends z.ZodType>(step: S, body: B) => ({
  ...common,
  step: z.literal(step),
  vm: vmId,
  body,
});

/** `because`: digest of the event whose fold owes this command. `attempt` rises when a failed step is tried again. */
const migrationShape = <const S extends string, B extends z.ZodType>(step: S, body: B) => ({
  ...lifeShape(step, body),
  migration: migrationId,
  epoch,
  attempt: z.int().min(1).max(ATTEMPTS_MAX),
  because: digest,
});

/** Rides with every command after which its host may run the VM (`runPermit`). Absent from brokers of before. */
const granting = { permit: dsseEnvelope.optional() };

const lifeCommand = <const S extends string, B extends z.ZodType>(step: S, body: B) =>
  z.strictObject(lifeShape(step, body)).readonly();
const grantingLifeCommand = <const S extends string, B extends z.ZodType>(step: S, body: B) =>
  z.strictObject({ ...lifeShape(step, body), ...granting }).readonly();
const migrationCommand = <const S extends string, B extends z.ZodType>(step: S, body: B) =>
  z.strictObject(migrationShape(step, body)).readonly();
const grantingMigrationCommand = <const S extends string, B extends z.ZodType>(step: S, body: B) =>
  z.strictObject({ ...migrationShape(step, body), ...granting }).readonly();

/** What a broker may ask of an agent. Payload of a DSSE envelope signed by the broker's X.509 leaf (`PAYLOAD_TYPES.command`). */
export const hostCommand = z.discriminatedUnion('step', [
  imageCommand('listImages', imageBodies.listImages),
  imageCommand('registerImage', imageBodies.registerImage),
  imageCommand('verifyImage', imageBodies.verifyImage),
  lifeCommand('inspect', lifeBodies.inspect),
  grantingLifeCommand('createVm', lifeBodies.createVm),
  grantingLifeCommand('startVm', lifeBodies.startVm),
  lifeCommand('stopVm', lifeBodies.stopVm),
  lifeCommand('deleteVm', lifeBodies.deleteVm),
  lifeCommand('provideSecrets', lifeBodies.provideSecrets),
  migrationCommand('preflight', migrationBodies.preflight),
  migrationCommand('reserve', migrationBodies.reserve),
  migrationCommand('trialUnlock', migrationBodies.trialUnlock),
  migrationCommand('quiesce', migrationBodies.quiesce),
  migrationCommand('seal', migrationBodies.seal),
  migrationCommand('serve', migrationBodies.serve),
  migrationCommand('surrender', migrationBodies.surrender),
  grantingMigrationCommand('resume', migrationBodies.resume),
  migrationCommand('retire', migrationBodies.retire),
  migrationCommand('receive', migrationBodies.receive),
  migrationCommand('rekey', migrationBodies.rekey),
  grantingMigrationCommand('start', migrationBodies.start),
  migrationCommand('reencrypt', migrationBodies.reencrypt),
  migrationCommand('observe', migrationBodies.observe),
  migrationCommand('forswear', migrationBodies.forswear),
  migrationCommand('destroy', migrationBodies.destroy),
]);
export type HostCommand = z.infer<typeof hostCommand>;
export type HostStep = HostCommand['step'];
export type CommandOf<S extends HostStep> = Extract<HostCommand, { readonly step: S }>;
export type MigrationCommand = Extract<HostCommand, { readonly migration: unknown }>;
export type MigrationStep = MigrationCommand['step'];
export type VmCommand = Extract<HostCommand, { readonly vm: unknown }>;

export const isMigrationCommand = (c: HostCommand): c is MigrationCommand => 'migration' in c;
export const isVmCommand = (c: HostCommand): c is VmCommand => 'vm' in c;
