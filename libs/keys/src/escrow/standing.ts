import type { EscrowPorts } from './ports.ts';
import type { Approved, Recovery } from './recoveries.ts';
import { approval, hear, said } from './statements.ts';
import type { EscrowDb } from './tables.ts';

/**
 * The approvals that count at this moment: each as if it came now. Threat: one who approved, and was dismissed or had the certificate
 * revoked since, still lends his word; or a row of the database that no custodian signed.
 */
export async function standing(
  ports: EscrowPorts,
  db: Pick<EscrowDb, 'selectFrom'>,
  { recovery, digest: request, approvals }: Recovery,
): Promise<readonly Approved[]> {
  const rows = await db
    .selectFrom('keys_recovery_approvals')
    .select(['envelope', 'certificate'])
    .where('recovery', '=', recovery)
    .execute();
  const counts = new Set(
    rows.flatMap(({ envelope, certificate }) => {
      const given = said.safeParse({ envelope: JSON.parse(envelope), certificate });
      const heard = given.success ? hear(approval, given.data, ports.identify) : undefined;
      if (heard?.ok !== true) return [];
      const { said: word, signer, digest } = heard.value;
      return word.custodian === signer && word.request === request && ports.may(signer, 'hold') ? [digest] : [];
    }),
  );
  return approvals.filter(({ digest }) => counts.has(digest));
}
