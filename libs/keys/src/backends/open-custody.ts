import type { Custody, Root } from '../vault/custody.ts';
import { keyRoot } from '../vault/custody.ts';
import { refuse, type VaultResult } from '../vault/refusal.ts';
import { barbicanStore } from './barbican/secret-store.ts';
import { type CustodySpec, decodeCustody } from './custody-spec.ts';
import { openToken } from './pkcs11/token.ts';

/** In the child: everything that opens keys, from the secret of one request, which the child zeroes when it is served. */
export async function openCustody(secret: Buffer): Promise<VaultResult<Custody>> {
  const spec = decodeCustody(secret);
  if (spec === undefined) return refuse('CHILD_PROTOCOL');
  const root = await openRoot(spec);
  if (!root.ok) return root;
  const secrets = spec.barbican === undefined ? {} : { secrets: barbicanStore(spec.barbican, spec.token) };
  return { ok: true, value: { root: root.value, ...secrets } };
}

async function openRoot({ root, rootSecret }: CustodySpec): Promise<VaultResult<Root>> {
  return root.kind === 'key' ? { ok: true, value: keyRoot(rootSecret) } : await openToken(root, rootSecret);
}
