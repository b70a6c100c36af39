import type { Timestamp } from '@carnet/events';
import type { Tx } from '@carnet/store';
import type { KeyService } from './backends/service.ts';
import type { Random } from './bytes.ts';
import type { Operation } from './child/operation.ts';
import { CREATE_KEK } from './child/operations.ts';
import { insertKek, keksOf, lastKekVersion } from './records/keks.ts';
import type { KeysDb } from './records/tables.ts';
import { fromVault } from './refusal.ts';
import { ok, type Result } from './result.ts';
import type { Spares } from './spares/spares.ts';
import type { Holding, Tenant, TenantKeks } from './vault/hierarchy.ts';

/** What every part of the key manager works with. `call` runs one operation under the root in a child process. */
export type KeyPorts = {
  readonly db: KeysDb;
  readonly call: <I, O>(operation: Operation<I, O>, input: I) => Promise<Result<O>>;
  /** Said before an operation makes DEKs: where they lie in another key manager, it must be found out after any crash what is there. */
  readonly announce: (holdings: readonly Holding[]) => Promise<void>;
  readonly spares: Spares;
  /** See `KeyManagerOptions`. */
  readonly durable: () => Promise<void>;
  readonly barbican?: NonNullable<KeyService['barbican']>;
  /** SPIFFE ID of this service, in every history line that it writes by itself. */
  readonly actor: string;
  readonly now: () => Timestamp;
  readonly random: Random;
};

/**
 * Work that is done but counts only once recorded. The key operation ran outside any transaction (it may take a second under load);
 * `record` writes its result in the caller's transaction, beside the event that carries it, and answers what is committed: when another
 * replica or an earlier try recorded first, *its* bytes. So a crash sends the same bytes again, never new ones.
 * After a refusal nothing was written.
 */
export type Prepared<T> = { readonly record: (tx: Tx) => Promise<Result<T>> };

/** The tenant's KEKs; its first one is made on first use. */
export async function tenantKeks(ports: KeyPorts, tenant: Tenant): Promise<Result<TenantKeks>> {
  const held = await keksOf(ports.db, tenant);
  if (held.length > 0) return ok(held);
  const last = await lastKekVersion(ports.db, tenant);
  // Looked at after the number: of several that begin at once, none counts the KEK of another and makes a second.
  const meanwhile = await keksOf(ports.db, tenant);
  if (meanwhile.length > 0) return ok(meanwhile);
  const first = await ports.call(CREATE_KEK, { tenant, version: last + 1 });
  if (!first.ok) return first;
  await insertKek(ports.db, first.value, ports.now());
  return ok(await keksOf(ports.db, tenant));
}

/** A call's refusal with its sentence. */
export const withText = <T>(result: Parameters<typeof fromVault>[0] | { readonly ok: true; readonly value: T }): Result<T> =>
  result.ok ? result : fromVault(result);
