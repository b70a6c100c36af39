import type * as Pkcs11 from 'pkcs11js';
import type { Handle, PKCS11 } from 'pkcs11js';
import { CODES } from '../../codes.ts';
import { KeysError } from '../../result.ts';
import { refuse, type VaultResult } from '../../vault/refusal.ts';
import type { TokenRoot } from '../custody-spec.ts';

/** A vendor's library, loaded, and the slot of one token in it. */
export type TokenSlot = { readonly p11: PKCS11; readonly names: typeof Pkcs11; readonly slot: Handle };

/**
 * Loads `pkcs11js`, an optional package with native code, and the vendor's library: in the child only, when a token is configured.
 * The variables are set here because libraries read their place of configuration from the process.
 */
export async function openSlot({ module, token, environment }: TokenRoot): Promise<VaultResult<TokenSlot>> {
  const names = await loadPackage();
  if (names === undefined) return refuse('PKCS11_PACKAGE_MISSING');
  Object.assign(process.env, environment);
  const p11 = new names.PKCS11();
  try {
    p11.load(module);
    p11.C_Initialize();
  } catch {
    return refuse('PKCS11_MODULE_UNUSABLE');
  }
  const slots = p11.C_GetSlotList(true).filter((slot) => p11.C_GetTokenInfo(slot).label.trimEnd() === token);
  const [slot, another] = slots;
  if (slot === undefined) return refuse('TOKEN_MISSING');
  return another === undefined ? { ok: true, value: { p11, names, slot } } : refuse('TOKEN_AMBIGUOUS');
}

async function loadPackage(): Promise<typeof Pkcs11 | undefined> {
  try {
    return (await import('pkcs11js')).default;
  } catch {
    // Not installed, or its native part was not built.
    return undefined;
  }
}

/** A session with the PIN given. A wrong PIN is said at once and never tried twice: tokens lock themselves. */
export function login({ p11, names, slot }: TokenSlot, pin: Uint8Array, access: 'read' | 'write'): VaultResult<Handle> {
  const flags = names.CKF_SERIAL_SESSION | (access === 'write' ? names.CKF_RW_SESSION : 0);
  const session = p11.C_OpenSession(slot, flags);
  try {
    // The binding takes a string, which cannot be zeroed: the child's end does that.
    p11.C_Login(session, names.CKU_USER, Buffer.from(pin).toString('utf8'));
    return { ok: true, value: session };
  } catch (error) {
    if (isReturn(names, error, names.CKR_PIN_LOCKED)) return refuse('TOKEN_PIN_LOCKED');
    if (isReturn(names, error, names.CKR_PIN_INCORRECT, names.CKR_PIN_LEN_RANGE, names.CKR_PIN_INVALID))
      return refuse('TOKEN_PIN_WRONG');
    return refuse('TOKEN_FAILED');
  }
}

/** Is this the token's own answer, one of these `CKR_` codes? */
export const isReturn = (names: TokenSlot['names'], error: unknown, ...codes: readonly number[]): boolean =>
  error instanceof names.Pkcs11Error && codes.includes(error.code);

/** Handles of all AES keys with this label. */
export function keysLabelled({ p11, names }: TokenSlot, session: Handle, label: string): readonly Handle[] {
  p11.C_FindObjectsInit(session, [
    { type: names.CKA_CLASS, value: names.CKO_SECRET_KEY },
    { type: names.CKA_LABEL, value: label },
  ]);
  try {
    return p11.C_FindObjects(session, FOUND_MAX);
  } finally {
    p11.C_FindObjectsFinal(session);
  }
}

/** Two are one too many. */
const FOUND_MAX = 2;

export const tokenFailed = (): KeysError => new KeysError('TOKEN_FAILED', CODES.TOKEN_FAILED.text, { retryable: true });

/** A token that fails at what it always could is an accident, not a refusal: it is tried again. */
export function asAccident<T>(work: () => T): T {
  try {
    return work();
  } catch {
    throw tokenFailed();
  }
}
