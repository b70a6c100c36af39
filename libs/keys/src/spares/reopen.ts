import { REWRAP_SPARE } from '../child/operations.ts';
import type { KeyPorts } from '../ports.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import type { TenantKeks, WrappedDek } from '../vault/hierarchy.ts';
import type { SpareName } from './spare.ts';

/**
 * A spare as a row of now: opened in the child by the root, and wrapped under the newest KEK of this database. What was changed, is of another
 * holding or of another root does not open.
 */
export async function reopenSpare(
  { spares, announce, call }: Pick<KeyPorts, 'spares' | 'announce' | 'call'>,
  keks: TenantKeks,
  name: SpareName,
): Promise<Result<WrappedDek>> {
  const spare = await spares.read(name);
  if (spare === 'missing') return refusal('SPARE_MISSING', { about: name.key });
  if (spare === 'broken' || keks.some(({ tenant }) => tenant !== spare.dek.tenant))
    return refusal('SPARE_BROKEN', { about: name.key });
  await announce([spare.dek]);
  const rewrapped = await call(REWRAP_SPARE, { keks, kek: spare.kek, dek: spare.dek });
  if (!rewrapped.ok) return rewrapped;
  const [dek] = rewrapped.value;
  return dek === undefined ? refusal('SPARE_BROKEN', { about: name.key }) : ok(dek);
}
