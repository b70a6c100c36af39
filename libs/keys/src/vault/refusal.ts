import type { KeyCode } from '../result.ts';

/** What leaves the vault when it refuses: a code and, where it helps, which key. No values. */
export type VaultRefusal = { readonly ok: false; readonly code: KeyCode; readonly key?: string };
export type VaultResult<T> = { readonly ok: true; readonly value: T } | VaultRefusal;

export const refuse = (code: KeyCode, key?: string): VaultRefusal => ({ ok: false, code, ...(key === undefined ? {} : { key }) });
