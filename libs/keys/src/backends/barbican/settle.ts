import type { TrustDomain } from '@carnet/events';
import type { KeyPorts } from '../../ports.ts';
import { findArrival, type Held } from '../../records/holding.ts';
import { isDestroyed } from '../../records/states.ts';
import { ok, type Refusal, type Result } from '../../result.ts';
import type { Holding, SecretId } from '../../vault/hierarchy.ts';
import { refuse, type VaultResult } from '../../vault/refusal.ts';
import { type Announced, forget, markSettled, unsettled } from './announced.ts';
import type { BarbicanClient, SecretConsumer } from './client.ts';
import { recordLabels, secretName } from './labels.ts';
import { findOurs } from './secret-store.ts';

/** `refused`: with what, and of which key; tried again next time. */
export type Settled = { readonly kept: number; readonly destroyed: number; readonly refused: readonly Refusal[] };
const NOTHING: Settled = { kept: 0, destroyed: 0, refused: [] };

const SERVICE = 'carnet';

/**
 * Makes Barbican say what our records say: metadata and a consumer for each key that is held, no secret for one that is destroyed or was
 * never recorded, one secret where crashes left two. Idempotent; run it again and again. Without Barbican it does nothing.
 */
export async function settleSecrets(ports: KeyPorts): Promise<Settled> {
  const { barbican } = ports;
  if (barbican === undefined) return NOTHING;
  let settled = NOTHING;
  for (const announced of await unsettled(ports.db, ports.now())) {
    const result = await settleOne(ports, barbican, announced);
    settled = result.ok
      ? { ...settled, [result.value]: settled[result.value] + 1 }
      : { ...settled, refused: [...settled.refused, result] };
  }
  return settled;
}

async function settleOne(
  { db, durable }: KeyPorts,
  barbican: NonNullable<KeyPorts['barbican']>,
  { holding, mark }: Announced,
): Promise<Result<'kept' | 'destroyed'>> {
  const held = mark === undefined ? undefined : await findArrival(db, holding, holding.arrival);
  if (mark === undefined || held === undefined || isDestroyed(held.record.state)) {
    await durable();
    const gone = await barbican((client, holder) => destroyAll(client, holder, holding));
    if (!gone.ok) return gone;
    await forget(db, holding);
    return ok('destroyed');
  }
  const secret = held.wrapped?.secret;
  if (secret !== undefined) {
    const kept = await barbican((client, holder) => describe(client, holder, held, secret));
    if (!kept.ok) return kept;
  }
  // The mark of before: a change meanwhile is settled next time.
  await markSettled(db, holding, mark);
  return ok('kept');
}

/** Barbican deletes a secret under its consumers: whoever else has registered is asked for first, here. */
async function destroyAll(client: BarbicanClient, holder: TrustDomain, holding: Holding): Promise<VaultResult<null>> {
  const found = await findOurs(client, secretName(holder, holding), holder, holding);
  if (!found.ok) return found;
  for (const { secret } of found.value) {
    const consumers = await client.consumers(secret);
    if (!consumers.ok && consumers.code === 'BARBICAN_SECRET_MISSING') continue;
    if (!consumers.ok) return consumers;
    if (consumers.value.some(({ service }) => service !== SERVICE)) return refuse('BARBICAN_SECRET_IN_USE', holding.key);
    for (const consumer of consumers.value) {
      const removed = await client.removeConsumer(secret, consumer);
      if (!removed.ok && removed.code !== 'BARBICAN_SECRET_MISSING') return removed;
    }
    const destroyed = await client.destroy(secret);
    if (!destroyed.ok) return destroyed;
  }
  return { ok: true, value: null };
}

async function describe(client: BarbicanClient, holder: TrustDomain, held: Held, secret: SecretId): Promise<VaultResult<null>> {
  const { record } = held;
  const labelled = await client.label(secret, recordLabels(holder, record));
  if (!labelled.ok) return labelled;
  const consumer = consumerOf(held);
  const consumers = await client.consumers(secret);
  if (!consumers.ok) return consumers;
  if (!consumers.value.some((there) => isSame(there, consumer))) {
    const added = await client.addConsumer(secret, consumer);
    if (!added.ok) return added;
  }
  return destroyOthers(client, holder, record, secret);
}

/** Two tries at once may each have made a secret; the record names the one that counts. */
async function destroyOthers(
  client: BarbicanClient,
  holder: TrustDomain,
  holding: Holding,
  secret: SecretId,
): Promise<VaultResult<null>> {
  const found = await findOurs(client, secretName(holder, holding), holder, holding);
  if (!found.ok) return found;
  for (const other of found.value.filter((one) => one.secret !== secret)) {
    const destroyed = await client.destroy(other.secret);
    if (!destroyed.ok) return destroyed;
  }
  return { ok: true, value: null };
}

/** Who uses the key, in Barbican's words: a VM, or an image that VMs are made from. */
const consumerOf = ({ record }: Held): SecretConsumer => ({
  service: SERVICE,
  resource_type: record.vm === undefined ? 'image' : 'vm',
  resource_id: record.vm?.split('/').at(-1) ?? record.artifact,
});

const isSame = (a: SecretConsumer, b: SecretConsumer): boolean =>
  a.service === b.service && a.resource_type === b.resource_type && a.resource_id === b.resource_id;
