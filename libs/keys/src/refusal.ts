import { CODES } from './codes.ts';
import type { KeyCode, Refusal } from './result.ts';
import type { VaultRefusal } from './vault/refusal.ts';

type Detail = { readonly about?: string; readonly expected?: string; readonly got?: string };

/** A refusal with its sentence. `about` names the key or migration it concerns. */
export const refusal = (code: KeyCode, { about, expected, got }: Detail = {}): Refusal => ({
  ok: false,
  code,
  text: about === undefined ? CODES[code].text : `${CODES[code].text} (${about})`,
  ...(expected === undefined ? {} : { expected }),
  ...(got === undefined ? {} : { got }),
});

export const fromVault = ({ code, key }: VaultRefusal): Refusal => refusal(code, key === undefined ? {} : { about: key });
