import {
  base64,
  depositAcknowledged,
  depositedKey,
  digest,
  epoch,
  hpkeKem,
  keyReleased,
  migrationId,
  recoveryId,
  timestamp,
} from '@carnet/events';
import { z } from 'zod';
import { tokenRoot } from '../backends/custody-spec.ts';
import { createTokenKey } from '../backends/pkcs11/create-key.ts';
import { boundKey, handover, hostKeyText, publicKeyText } from '../context.ts';
import { escrowTerms } from '../escrow/terms.ts';
import { SCRYPT_COST_MAX, SCRYPT_COST_MIN } from '../limits.ts';
import { confirmAcknowledgement, sealDeposit, sealRelease } from '../vault/deposit.ts';
import { checkGivenShare, createRecoveryKey, dealEscrow, dealt, givenShare, recoverDek, recoveryKey } from '../vault/escrow.ts';
import { createDek, createKek, holding, rewrapDeks, tenant, wrappedDek, wrappedKek } from '../vault/hierarchy.ts';
import { hostContext, sealedForHost, sealForHost } from '../vault/host.ts';
import { acknowledgeDeposit, createMigrationKey, destroyMigrationKeys, openRelease } from '../vault/import.ts';
import { keptSecret, rewrapSecrets } from '../vault/rewrap.ts';
import { openRoot, resealRoot, sealedRoot, sealRoot } from '../vault/root.ts';
import { keyOperation, type Operation, openingOperation, operation } from './operation.ts';

const cost = z.int().min(SCRYPT_COST_MIN).max(SCRYPT_COST_MAX);
const keks = z.array(wrappedKek).min(1).readonly();
const deks = z.array(wrappedDek).readonly();
const keys = z.array(depositedKey).min(1).readonly();
const secrets = z.strictObject({ kekVersion: z.int().min(1), wrapped: z.base64() }).readonly();
const roots = keyReleased.unwrap().shape.roots;

const held = { handover, tenant, keks, keys, secrets };
const received = { handover, tenant, keks, keys, privateKey: secrets };

/** Under a passphrase (its secret). */
export const SEAL_ROOT = operation('seal-root', z.strictObject({ cost }), sealedRoot, async (passphrase, input, random) => ({
  ok: true,
  value: await sealRoot(passphrase, input.cost, random),
}));
export const OPEN_ROOT = openingOperation('open-root', z.strictObject({ file: sealedRoot }), z.null(), (passphrase, input) =>
  openRoot(passphrase, input.file),
);
/** Secret: root (32 bytes) ‖ new passphrase. */
export const RESEAL_ROOT = operation(
  'reseal-root',
  z.strictObject({ cost, rootBytes: z.int() }),
  sealedRoot,
  async (both, input, random) => ({
    ok: true,
    value: await resealRoot(both.subarray(0, input.rootBytes), both.subarray(input.rootBytes), input.cost, random),
  }),
);

/** Makes the root inside a token. Secret: its PIN. */
export const CREATE_TOKEN_KEY = operation('create-token-key', tokenRoot, z.null(), createTokenKey);
/** Does the custody open at all? */
export const CHECK_CUSTODY = keyOperation('check-custody', z.null(), z.null(), () => ({ ok: true, value: null }));

export const CREATE_KEK = keyOperation(
  'create-kek',
  z.strictObject({ tenant, version: z.int().min(1) }),
  wrappedKek,
  ({ root }, input, random) => ({ ok: true, value: createKek(root, input, random) }),
);
export const CREATE_DEK = keyOperation('create-dek', z.strictObject({ keks, holding }), wrappedDek, (custody, input, random) =>
  createDek(custody, input.keks, input.holding, random),
);
export const REWRAP = keyOperation('rewrap', z.strictObject({ keks, deks }), deks, ({ root }, input, random) =>
  rewrapDeks(root, input.keks, input.deks, random),
);

/** From a spare, which brings its own KEK: the database may have made another since. */
export const REWRAP_SPARE = keyOperation(
  'rewrap-spare',
  z.strictObject({ keks, kek: wrappedKek, dek: wrappedDek }),
  deks,
  ({ root }, { keks: newest, kek, dek }, random) => rewrapDeks(root, newest, [dek], random, [kek]),
);

const keptSecrets = z.array(keptSecret).readonly();
export const REWRAP_SECRETS = keyOperation(
  'rewrap-secrets',
  z.strictObject({ tenant, keks, secrets: keptSecrets }),
  keptSecrets,
  ({ root }, input, random) => rewrapSecrets(root, input, random),
);

export const SEAL_DEPOSIT = keyOperation(
  'seal-deposit',
  z.strictObject({
    handover,
    tenant,
    keks,
    keys: z
      .array(z.strictObject({ bound: boundKey, dek: wrappedDek }))
      .min(1)
      .readonly(),
  }),
  z.strictObject({ commit: digest, keys, secrets }),
  sealDeposit,
);
export const CONFIRM_ACKNOWLEDGEMENT = keyOperation(
  'confirm-acknowledgement',
  z.strictObject({ ...held, macs: depositAcknowledged.unwrap().shape.macs }),
  z.null(),
  confirmAcknowledgement,
);
export const SEAL_RELEASE = keyOperation(
  'seal-release',
  z.strictObject({ ...held, deks, roots, acknowledged: digest }),
  z.strictObject({ enc: base64, ct: base64 }),
  sealRelease,
);

export const CREATE_MIGRATION_KEY = keyOperation(
  'create-migration-key',
  z.strictObject({ tenant, keks, attempt: z.strictObject({ migration: migrationId, epoch }), kem: hpkeKem, at: timestamp }),
  z.strictObject({ publicKey: publicKeyText, privateKey: secrets }),
  createMigrationKey,
);
/** Private keys in the token whose migrations have ended, and those that nobody recorded. Answers how many are destroyed. */
export const DESTROY_MIGRATION_KEYS = keyOperation(
  'destroy-migration-keys',
  z.strictObject({ needed: z.array(digest).readonly(), ended: z.array(digest).readonly(), madeBefore: timestamp }),
  z.int(),
  destroyMigrationKeys,
);
export const ACKNOWLEDGE_DEPOSIT = keyOperation(
  'acknowledge-deposit',
  z.strictObject(received),
  z.array(digest).readonly(),
  acknowledgeDeposit,
);
export const OPEN_RELEASE = keyOperation(
  'open-release',
  z.strictObject({ ...received, roots, acknowledged: digest, commit: digest, enc: base64, ct: base64 }),
  deks,
  openRelease,
);

export const SEAL_FOR_HOST = keyOperation(
  'seal-for-host',
  z.strictObject({ context: hostContext, publicKey: hostKeyText, keks, deks: deks.unwrap().min(1).readonly() }),
  sealedForHost,
  sealForHost,
);

/** What opens the shares of one recovery. */
const recovering = {
  terms: escrowTerms,
  recovery: recoveryId,
  request: digest,
  publicKey: hostKeyText,
  keks,
  privateKey: recoveryKey,
};
const sealingKeys = z.array(hostKeyText).min(1).readonly();
export const DEAL_ESCROW = keyOperation(
  'deal-escrow',
  z.strictObject({ terms: escrowTerms, sealingKeys, keks, dek: wrappedDek }),
  dealt,
  dealEscrow,
);
export const CREATE_RECOVERY_KEY = keyOperation(
  'create-recovery-key',
  z.strictObject({ recovery: recoveryId }),
  z.strictObject({ publicKey: hostKeyText, privateKey: recoveryKey }),
  createRecoveryKey,
);
export const CHECK_SHARE = keyOperation(
  'check-share',
  z.strictObject({ ...recovering, share: givenShare }),
  z.null(),
  checkGivenShare,
);
export const RECOVER_DEK = keyOperation(
  'recover-dek',
  z.strictObject({ ...recovering, package: base64.max(256), shares: z.array(givenShare).readonly() }),
  wrappedDek,
  recoverDek,
);

/** By name, for the child's side of the pipe. */
export const OPERATIONS: ReadonlyMap<string, Pick<Operation<never, unknown>, 'serve'>> = new Map(
  [
    SEAL_ROOT,
    OPEN_ROOT,
    RESEAL_ROOT,
    CREATE_TOKEN_KEY,
    CHECK_CUSTODY,
    CREATE_KEK,
    CREATE_DEK,
    REWRAP,
    REWRAP_SPARE,
    REWRAP_SECRETS,
    SEAL_DEPOSIT,
    CONFIRM_ACKNOWLEDGEMENT,
    SEAL_RELEASE,
    CREATE_MIGRATION_KEY,
    DESTROY_MIGRATION_KEYS,
    ACKNOWLEDGE_DEPOSIT,
    OPEN_RELEASE,
    SEAL_FOR_HOST,
    DEAL_ESCROW,
    CREATE_RECOVERY_KEY,
    CHECK_SHARE,
    RECOVER_DEK,
  ].map(({ name, serve }) => [name, { serve }]),
);
