import type { EventData, TrustDomain } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { type HandedOver, isSameVersion } from '@carnet/keys';

export interface HandedOverPorts {
  readonly self: TrustDomain;
  readonly journal: Pick<Journal, 'eventsOfMigrations'>;
}

/**
 * The hand-over of a key between us and a peer, by the signed events of the migration that is named: a deposit of ours to the peer, or one of the
 * peer's that we acknowledged. Threat: whatever else a peer's deposit names may be another VM's key, of which it knows the id only.
 */
export async function handedOverByLedger(
  { self, journal }: HandedOverPorts,
  peer: TrustDomain,
  named: Pick<EventData<'KeyStateChanged'>, 'key' | 'version' | 'migration'>,
): Promise<HandedOver | undefined> {
  const { migration } = named;
  const events = await journal.eventsOfMigrations([migration]);
  const acknowledged = new Set(
    events.flatMap(({ event }) =>
      event?.type === 'DepositAcknowledged' && event.publisher === self && event.audience === peer ? [event.data.deposit] : [],
    ),
  );
  for (const { event, digest } of events) {
    if (event?.type !== 'KeyDeposited') continue;
    const { publisher: source, audience: target, epoch } = event;
    const isOurs = source === self && target === peer;
    const isTaken = source === peer && target === self && acknowledged.has(digest);
    const isNamed = event.data.keys.some((one) => isSameVersion(one, named));
    if (isNamed && (isOurs || isTaken)) return { migration, epoch, source, target };
  }
  return undefined;
}
