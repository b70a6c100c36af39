import { SEAL_FOR_HOST } from './child/operations.ts';
import { type KeyPorts, tenantKeks } from './ports.ts';
import { findHeld, type Held, type KeyVersion } from './records/holding.ts';
import type { KeyState } from './records/states.ts';
import { fromVault, refusal } from './refusal.ts';
import { ok, type Refusal, type Result } from './result.ts';
import type { WrappedDek } from './vault/hierarchy.ts';
import * as vault from './vault/host.ts';
import { generateKeyPair } from './vault/hpke.ts';

/** `publicKey`: the agent's, from its signed hello, in base64. All keys of one tenant. */
export type HostSealRequest = {
  readonly context: vault.HostContext;
  readonly keys: readonly KeyVersion[];
  readonly publicKey: string;
};

/**
 * Keys for one host, VM, epoch and purpose, over an untrusted bus. HPKE does not say who sealed: the agent takes it only from within a
 * command signed by its broker. Not inside an open transaction.
 */
export async function sealForHost(ports: KeyPorts, request: HostSealRequest): Promise<Result<vault.SealedForHost>> {
  const { context, publicKey } = request;
  const deks: WrappedDek[] = [];
  for (const key of request.keys) {
    const held = await findHeld(ports.db, key);
    if (held === undefined) return refusal('KEY_UNKNOWN', { about: key.key });
    const refused = ungivable(held, context);
    if (refused !== undefined) return refused;
    if (held.wrapped === undefined) return refusal('KEY_STATE', { about: key.key, got: held.record.state });
    deks.push(held.wrapped);
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
  return ports.call(SEAL_FOR_HOST, { context, publicKey, keks: keks.value, deks });
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
