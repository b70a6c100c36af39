import { epoch } from '@carnet/events';
import { SEAL_FOR_HOST } from './child/operations.ts';
import { type KeyPorts, tenantKeks } from './ports.ts';
import { findHeld, type Held, type KeyVersion } from './records/holding.ts';
import type { KeyState } from './records/states.ts';
import type { KeysDb, KeysTx } from './records/tables.ts';
import { fromVault, refusal } from './refusal.ts';
import { ok, type Refusal, type Result } from './result.ts';
import { lockChain, recordUses } from './uses/chain.ts';
import { type Grant, ungranted } from './uses/grant.ts';
import type { WrappedDek } from './vault/hierarchy.ts';
import * as vault from './vault/host.ts';
import { generateKeyPair } from './vault/hpke.ts';

/** `publicKey`: the agent's, from its signed hello, in base64. All keys of one tenant. */
export type HostSealRequest = {
  readonly context: vault.HostContext;
  readonly keys: readonly KeyVersion[];
  readonly publicKey: string;
  /** By what right. */
  readonly grant: Grant;
};

/**
 * Keys for one host, VM, epoch and purpose, over an untrusted bus. HPKE does not say who sealed: the agent takes it only from within a
 * command signed by its broker. Not inside an open transaction: the use is recorded in one of its own, and only then is anything given.
 */
export async function sealForHost(ports: KeyPorts, request: HostSealRequest): Promise<Result<vault.SealedForHost>> {
  const { context, publicKey } = request;
  const checked = await usable(ports, ports.db, request);
  if (!checked.ok) return checked;
  const deks: WrappedDek[] = [];
  for (const { record, wrapped } of checked.value) {
    if (wrapped === undefined) return refusal('KEY_STATE', { about: record.key, got: record.state });
    deks.push(wrapped);
  }
  const [first] = deks;
  if (first === undefined) return refusal('INPUT_INVALID', { about: 'keys' });
  if (deks.some(({ tenant }) => tenant !== first.tenant)) return refusal('KEY_TENANT_DIFFERS', { about: first.key });
  const keks = await tenantKeks(ports, first.tenant);
  if (!keks.ok) return keks;
  for (const key of request.keys) {
    const spent = await spend(ports, key, context);
    if (spent !== undefined) return spent;
  }
  const sealed = await ports.call(SEAL_FOR_HOST, { context, publicKey, keks: keks.value, deks });
  if (!sealed.ok) return sealed;
  const refused = await ports.db.transaction().execute((tx) => recordGiving(ports, tx, request));
  return refused ?? sealed;
}

/** All keys of a request, if each may be given in its present state, to this host's VM, by this grant. */
async function usable(ports: KeyPorts, db: KeysDb, { context, keys, grant }: HostSealRequest): Promise<Result<readonly Held[]>> {
  const found: Held[] = [];
  for (const key of keys) {
    const held = await findHeld(db, key);
    if (held === undefined) return refusal('KEY_UNKNOWN', { about: key.key });
    const refused = ungivable(held, context) ?? (await ungranted(ports, db, held, context, grant));
    if (refused !== undefined) return refused;
    found.push(held);
  }
  return ok(found);
}

/**
 * Checked again under the chain's lock, which a release holds from its own record on: what it suspended is not given any more. The keys'
 * own rows are not locked, so that nobody waits here for who waits for the chain.
 */
async function recordGiving(ports: KeyPorts, tx: KeysTx, request: HostSealRequest): Promise<Refusal | undefined> {
  const { context, grant } = request;
  await lockChain(tx);
  const still = await usable(ports, tx, request);
  if (!still.ok) return still;
  const { vm, host } = context;
  const where = { vm, host, ...(grant.migration === undefined ? {} : { migration: grant.migration }) };
  const moving = epoch.safeParse(context.epoch);
  const uses = still.value.map(({ record }) => ({
    of: record,
    operation: context.purpose,
    principal: grant.principal,
    context: { ...where, ...(moving.success ? { epoch: moving.data } : {}) },
    reason: grant.reason,
  }));
  await recordUses(tx, ports.now(), uses);
  return undefined;
}

/** States in which a key may go to a host. A suspended key goes to nobody: it may live at the target. */
const GIVABLE: Readonly<Record<vault.HostPurpose, readonly KeyState[]>> = {
  run: ['active'],
  seal: ['active'],
  unseal: ['active'],
  rekey: ['active'],
  'trial-unlock': ['active', 'pre-activation'],
};

function ungivable({ record }: Held, { vm, purpose }: vault.HostContext): Refusal | undefined {
  if (!GIVABLE[purpose].includes(record.state))
    return refusal('PURPOSE_REFUSED', { about: record.key, expected: GIVABLE[purpose].join(' or '), got: record.state });
  if (record.vm !== undefined && record.vm !== vm)
    return refusal('KEY_BOUND_DIFFERS', { about: record.key, expected: record.vm, got: vm });
  if ((purpose === 'run' || purpose === 'rekey') && record.kind === 'memory')
    return refusal('PURPOSE_REFUSED', { about: record.key });
  return undefined;
}

/** A memory key seals once: a second memory state under one key would repeat its nonces. The same command again is the same sealing. */
async function spend(
  ports: KeyPorts,
  { key, version }: KeyVersion,
  { host, vm, epoch, purpose }: vault.HostContext,
): Promise<Refusal | undefined> {
  if (purpose !== 'seal') return undefined;
  const command = `${host} ${vm} ${epoch}`;
  await ports.db
    .updateTable('keys_holdings')
    .set({ sealed_by: command })
    .where('key', '=', key)
    .where('version', '=', version)
    .where('kind', '=', 'memory')
    .where('sealed_by', 'is', null)
    .execute();
  const held = await findHeld(ports.db, { key, version });
  if (held?.record.kind !== 'memory' || held.sealedBy === command) return undefined;
  return refusal('MEMORY_KEY_USED', { about: key });
}

/** An agent's key pair, made once at its start. `privateKey` (32 bytes) stays in the agent's memory. */
export const createHostKeyPair = (): Promise<{ readonly publicKey: string; readonly privateKey: Buffer }> => generateKeyPair();

export type HostKey = { readonly key: KeyVersion['key']; readonly version: number; readonly dek: Buffer };

/** In the agent: the keys of one command. The agent zeroes each `dek` after use. */
export async function openForHost(
  privateKey: Uint8Array,
  context: vault.HostContext,
  sealed: unknown,
): Promise<Result<readonly HostKey[]>> {
  const parsed = vault.sealedForHost.safeParse(sealed);
  if (!parsed.success) return refusal('HOST_SEAL_INVALID');
  const opened = await vault.openForHost(privateKey, context, parsed.data);
  return opened.ok ? ok(opened.value) : fromVault(opened);
}

/** What opens a LUKS header made from this DEK: its 64 lowercase hexadecimal characters, as bytes. OpenStack's convention too. */
export function luksPassphrase(dek: Uint8Array): Buffer {
  const hex = Buffer.alloc(dek.length * 2);
  const digits = '0123456789abcdef';
  for (const [i, byte] of dek.entries()) {
    hex[2 * i] = digits.charCodeAt(byte >> 4);
    hex[2 * i + 1] = digits.charCodeAt(byte & 15);
  }
  return hex;
}
