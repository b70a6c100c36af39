import type { Handle, Template } from 'pkcs11js';
import { sha256 } from '../../bytes.ts';
import { HASH_BYTES, P256_POINT_BYTES } from '../../limits.ts';
import type { KeyAgreement } from '../../vault/custody.ts';
import { asAccident, type TokenSlot } from './module.ts';

/** DER of the OID of P-256 (RFC 5480, section 2.1.1.1). */
const P256_OID = Buffer.from('06082a8648ce3d030107', 'hex');
/** DER of an OCTET STRING of 65 bytes: how PKCS#11 has CKA_EC_POINT. */
const POINT_HEADER = Buffer.from([0x04, P256_POINT_BYTES]);
const FOUND_MAX = 1_000;

/**
 * Migration keys inside a token: made there, not extractable, gone when they are destroyed. Each is known by CKA_ID, the SHA-256 of its public
 * key; its label begins with that of the root, so that two CSPs may share a token, and says when it was made.
 */
export function agreementIn({ p11, names, slot }: TokenSlot, session: Handle, rootLabel: string): KeyAgreement {
  const prefix = `${rootLabel}:migration:`;
  const privateOnes = (more: Template): readonly Handle[] => {
    p11.C_FindObjectsInit(session, [
      { type: names.CKA_CLASS, value: names.CKO_PRIVATE_KEY },
      { type: names.CKA_KEY_TYPE, value: names.CKK_EC },
      ...more,
    ]);
    try {
      return p11.C_FindObjects(session, FOUND_MAX);
    } finally {
      p11.C_FindObjectsFinal(session);
    }
  };
  const withId = (id: Uint8Array): Handle | undefined =>
    privateOnes([{ type: names.CKA_ID, value: Buffer.from(id) }]).find((key) => isGuarded(key) && madeAt(key) !== undefined);
  const bytesOf = (key: Handle, type: number): Buffer =>
    Buffer.from(p11.C_GetAttributeValue(session, key, [{ type }])[0]?.value ?? []);
  const isGuarded = (key: Handle): boolean =>
    bytesOf(key, names.CKA_NEVER_EXTRACTABLE)[0] === 1 && bytesOf(key, names.CKA_ALWAYS_SENSITIVE)[0] === 1;
  const madeAt = (key: Handle): string | undefined => {
    const label = bytesOf(key, names.CKA_LABEL).toString('utf8');
    return label.startsWith(prefix) ? label.slice(prefix.length) : undefined;
  };
  /** Making and destroying need a session that may write; logged in is the whole process. */
  const writing = <T>(work: (session: Handle) => T): T => {
    const writer = p11.C_OpenSession(slot, names.CKF_SERIAL_SESSION | names.CKF_RW_SESSION);
    try {
      return work(writer);
    } finally {
      p11.C_CloseSession(writer);
    }
  };
  const made: KeyAgreement = {
    generate: (at) =>
      writing((writer) => {
        const { publicKey, privateKey } = p11.C_GenerateKeyPair(
          writer,
          { mechanism: names.CKM_EC_KEY_PAIR_GEN },
          [
            { type: names.CKA_EC_PARAMS, value: P256_OID },
            { type: names.CKA_TOKEN, value: false },
          ],
          [
            { type: names.CKA_LABEL, value: `${prefix}${at}` },
            { type: names.CKA_TOKEN, value: true },
            { type: names.CKA_PRIVATE, value: true },
            { type: names.CKA_SENSITIVE, value: true },
            { type: names.CKA_EXTRACTABLE, value: false },
            { type: names.CKA_DERIVE, value: true },
            { type: names.CKA_SIGN, value: false },
          ],
        );
        const encoded = p11.C_GetAttributeValue(writer, publicKey, [{ type: names.CKA_EC_POINT }])[0]?.value;
        const der = Buffer.from(encoded ?? []);
        if (!der.subarray(0, POINT_HEADER.length).equals(POINT_HEADER)) throw new Error('a point of another form');
        const point = Buffer.from(der.subarray(POINT_HEADER.length));
        p11.C_SetAttributeValue(writer, privateKey, [{ type: names.CKA_ID, value: sha256(point) }]);
        return point;
      }),
    has: (id) => withId(id) !== undefined,
    agree: (id, point) => {
      const key = withId(id);
      if (key === undefined) throw new Error('no such key in the token');
      return deriveIn({ p11, names, slot }, session, key, point);
    },
    list: () =>
      privateOnes([]).flatMap((key) => {
        const at = madeAt(key);
        return at === undefined ? [] : [{ id: bytesOf(key, names.CKA_ID), madeAt: at }];
      }),
    destroy: (id) =>
      writing((writer) => {
        for (const key of privateOnes([{ type: names.CKA_ID, value: Buffer.from(id) }]))
          if (madeAt(key) !== undefined) p11.C_DestroyObject(writer, key);
      }),
  };
  return {
    generate: (at) => asAccident(() => made.generate(at)),
    has: (id) => asAccident(() => made.has(id)),
    agree: (id, point) => asAccident(() => made.agree(id, point)),
    list: () => asAccident(made.list),
    destroy: (id) => asAccident(() => made.destroy(id)),
  };
}

/** ECDH in the token: the x-coordinate comes out, by intent, since HKDF is done here. The private key does not. */
export function deriveIn({ p11, names }: TokenSlot, session: Handle, key: Handle, point: Buffer): Buffer {
  const parameter = { type: names.CK_PARAMS_EC_DH, kdf: names.CKD_NULL, publicData: point };
  const derived = p11.C_DeriveKey(session, { mechanism: names.CKM_ECDH1_DERIVE, parameter }, key, [
    { type: names.CKA_CLASS, value: names.CKO_SECRET_KEY },
    { type: names.CKA_KEY_TYPE, value: names.CKK_GENERIC_SECRET },
    { type: names.CKA_VALUE_LEN, value: HASH_BYTES },
    { type: names.CKA_TOKEN, value: false },
    { type: names.CKA_SENSITIVE, value: false },
    { type: names.CKA_EXTRACTABLE, value: true },
  ]);
  try {
    return Buffer.from(p11.C_GetAttributeValue(session, derived, [{ type: names.CKA_VALUE }])[0]?.value ?? []);
  } finally {
    p11.C_DestroyObject(session, derived);
  }
}
