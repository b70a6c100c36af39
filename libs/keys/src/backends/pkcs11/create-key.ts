import { KEY_BYTES } from '../../limits.ts';
import { refuse, type VaultResult } from '../../vault/refusal.ts';
import type { TokenRoot } from '../custody-spec.ts';
import { keysLabelled, login, openSlot } from './module.ts';

/** Makes the root inside the token: it was never outside, and cannot leave. Refused where a key of this label is. */
export async function createTokenKey(pin: Uint8Array, spec: TokenRoot): Promise<VaultResult<null>> {
  const slot = await openSlot(spec);
  if (!slot.ok) return slot;
  const { p11, names } = slot.value;
  const session = login(slot.value, pin, 'write');
  if (!session.ok) return session;
  if (keysLabelled(slot.value, session.value, spec.key).length > 0) return refuse('TOKEN_KEY_EXISTS');
  try {
    p11.C_GenerateKey(session.value, { mechanism: names.CKM_AES_KEY_GEN }, [
      { type: names.CKA_CLASS, value: names.CKO_SECRET_KEY },
      { type: names.CKA_KEY_TYPE, value: names.CKK_AES },
      { type: names.CKA_VALUE_LEN, value: KEY_BYTES },
      { type: names.CKA_LABEL, value: spec.key },
      { type: names.CKA_TOKEN, value: true },
      { type: names.CKA_PRIVATE, value: true },
      { type: names.CKA_SENSITIVE, value: true },
      { type: names.CKA_EXTRACTABLE, value: false },
      { type: names.CKA_ENCRYPT, value: true },
      { type: names.CKA_DECRYPT, value: true },
      { type: names.CKA_WRAP, value: false },
      { type: names.CKA_UNWRAP, value: false },
      { type: names.CKA_SIGN, value: false },
      { type: names.CKA_VERIFY, value: false },
    ]);
    return { ok: true, value: null };
  } catch {
    return refuse('TOKEN_FAILED');
  }
}
