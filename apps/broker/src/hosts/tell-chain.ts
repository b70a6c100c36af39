import type { HostName } from '@carnet/events';
import { chainSubject } from '@carnet/hypervisor';
import type { OwnLeaf } from '@carnet/pki';
import type { NatsConnection } from 'nats';

/**
 * Tells a host by which leaf this replica signs. Unsigned, since a chain proves itself: a host takes it only as the chain of its
 * own broker, and believes nothing else because of it. On one connection NATS keeps the order, so what is signed next is known.
 */
export const tellChain = (bus: Pick<NatsConnection, 'publish'>, { chain }: Pick<OwnLeaf, 'chain'>, host: HostName): void =>
  bus.publish(chainSubject(host), JSON.stringify({ chain }));
