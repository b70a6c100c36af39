import type { Handle } from 'pkcs11js';
import { joinSecret } from '../../bytes.ts';
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, KEY_BYTES } from '../../limits.ts';
import type { KeyAgreement, Root } from '../../vault/custody.ts';
import { refuse, type VaultResult } from '../../vault/refusal.ts';
import type { TokenRoot } from '../custody-spec.ts';
import { agreementIn } from './agreement.ts';
import { asAccident, isReturn, keysLabelled, login, openSlot, type TokenSlot, tokenFailed } from './module.ts';

/** Room for a plaintext or ciphertext of ours: KEKs of 32 bytes. */
const OUTPUT_BYTES_MAX = 256;

/** One login for each child: a library is initialised once in a process. */
const opened = new Map<string, Root>();

/** The root as a key inside a token: it wraps and unwraps there, and never leaves. */
export async function openToken(spec: TokenRoot, pin: Uint8Array): Promise<VaultResult<Root>> {
  const name = JSON.stringify(spec);
  const there = opened.get(name);
  if (there !== undefined) return { ok: true, value: there };
  const slot = await openSlot(spec);
  if (!slot.ok) return slot;
  const session = login(slot.value, pin, 'read');
  if (!session.ok) return session;
  const key = rootKey(slot.value, session.value, spec.key);
  if (!key.ok) return key;
  const root = tokenRootOf(slot.value, session.value, key.value, agreementIn(slot.value, session.value, spec.key));
  opened.set(name, root);
  return { ok: true, value: root };
}

function rootKey(slot: TokenSlot, session: Handle, label: string): VaultResult<Handle> {
  const [key, another] = keysLabelled(slot, session, label);
  if (key === undefined) return refuse('TOKEN_KEY_MISSING');
  if (another !== undefined) return refuse('TOKEN_KEY_AMBIGUOUS');
  return isGuarded(slot, session, key) ? { ok: true, value: key } : refuse('TOKEN_KEY_EXPOSED');
}

/** A root that somebody could read out of the token, or once could, is no better than a file without a passphrase. */
function isGuarded({ p11, names }: TokenSlot, session: Handle, key: Handle): boolean {
  const wanted: readonly (readonly [number, boolean])[] = [
    [names.CKA_SENSITIVE, true],
    [names.CKA_ALWAYS_SENSITIVE, true],
    [names.CKA_EXTRACTABLE, false],
    [names.CKA_NEVER_EXTRACTABLE, true],
  ];
  const values = p11.C_GetAttributeValue(session, key, [
    ...wanted.map(([type]) => ({ type })),
    { type: names.CKA_KEY_TYPE },
    { type: names.CKA_VALUE_LEN },
  ]);
  const bytesOf = (at: number): Buffer => Buffer.from(values[at]?.value ?? []);
  const numberOf = (at: number): number => (bytesOf(at).length >= 4 ? bytesOf(at).readUInt32LE(0) : -1);
  return (
    wanted.every(([, value], at) => bytesOf(at)[0] === Number(value)) &&
    numberOf(wanted.length) === names.CKK_AES &&
    numberOf(wanted.length + 1) === KEY_BYTES
  );
}

function tokenRootOf({ p11, names }: TokenSlot, session: Handle, key: Handle, agreement: KeyAgreement): Root {
  const gcm = (iv: Uint8Array, aad: Uint8Array) => ({
    mechanism: names.CKM_AES_GCM,
    parameter: {
      type: names.CK_PARAMS_AES_GCM,
      iv: Buffer.from(iv),
      aad: Buffer.from(aad),
      ivBits: GCM_NONCE_BYTES * 8,
      tagBits: GCM_TAG_BYTES * 8,
    },
  });
  return {
    agreement,
    seal: (aad, plaintext, random) => {
      const nonce = random(GCM_NONCE_BYTES);
      return asAccident(() => {
        p11.C_EncryptInit(session, gcm(nonce, aad), key);
        return joinSecret([
          nonce,
          p11.C_Encrypt(
            session,
            Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.length),
            Buffer.alloc(OUTPUT_BYTES_MAX),
          ),
        ]);
      });
    },
    open: (aad, sealed) => {
      if (sealed.length < GCM_NONCE_BYTES + GCM_TAG_BYTES || sealed.length > OUTPUT_BYTES_MAX) return undefined;
      const body = Buffer.from(sealed.subarray(GCM_NONCE_BYTES));
      const room = Buffer.alloc(OUTPUT_BYTES_MAX);
      try {
        p11.C_DecryptInit(session, gcm(sealed.subarray(0, GCM_NONCE_BYTES), aad), key);
        return joinSecret([p11.C_Decrypt(session, body, room)]);
      } catch (error) {
        if (isReturn(names, error, ...CHANGED(names))) return undefined;
        throw tokenFailed();
      } finally {
        room.fill(0);
      }
    },
  };
}

/** What tokens answer when the tag does not match; SoftHSM says "general error". */
const CHANGED = (names: TokenSlot['names']): readonly number[] => [
  names.CKR_ENCRYPTED_DATA_INVALID,
  names.CKR_ENCRYPTED_DATA_LEN_RANGE,
  names.CKR_GENERAL_ERROR,
];
