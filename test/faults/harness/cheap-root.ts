import { randomBytes } from 'node:crypto';
import { createRootFile } from '@carnet/keys';
import type { CspPaths } from '../../../infra/dev/src/clouds/layout.ts';
import { inlineProcess } from '../../../libs/keys/src/testing/inline-process.ts';

/** scrypt's N; a broker of its own takes 131,072, at each start and each restart. The file says which it is. */
const COST = 16_384;

/** The root that a broker would make at its first start, so that tests do not wait for scrypt. The demonstration's brokers make their own. */
export async function makeCheapRoot({ keyRoot, passphrase }: CspPaths): Promise<void> {
  const unlock = { kind: 'file', path: passphrase } as const;
  const made = await createRootFile({ path: keyRoot, unlock, process: inlineProcess(), random: randomBytes, cost: COST });
  if (!made.ok) throw new Error(`the key root: ${made.code}: ${made.text}`);
}
