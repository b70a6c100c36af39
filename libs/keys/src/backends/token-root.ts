import { wiper } from '../bytes.ts';
import { CREATE_TOKEN_KEY } from '../child/operations.ts';
import { PIN_BYTES_MIN } from '../limits.ts';
import { withText } from '../ports.ts';
import type { Result } from '../result.ts';
import { readPassphrase } from '../root-file.ts';
import { type KeyRoot, keyProcessFor, withoutPin } from './service.ts';

/** Makes the root inside a token. Once per CSP: `TOKEN_KEY_EXISTS` when a key of this label is there. */
export async function createTokenRoot(root: Extract<KeyRoot, { readonly kind: 'pkcs11' }>): Promise<Result<null>> {
  using wipe = wiper();
  const pin = await readPassphrase(root.pin, PIN_BYTES_MIN);
  if (!pin.ok) return pin;
  const process = keyProcessFor({ root });
  try {
    return withText(await process.call(CREATE_TOKEN_KEY, withoutPin(root), wipe.keep(pin.value)));
  } finally {
    process.close();
  }
}
