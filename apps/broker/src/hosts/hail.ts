import type { HostName } from '@carnet/events';
import { hailSubject } from '@carnet/hypervisor';
import type { NatsConnection } from 'nats';

/**
 * Asks every host for a hello, now and whenever the bus is back: a broker knows nobody before, and the next hello may be ten
 * seconds away. Empty and unsigned: it moves a host to say what it would say anyway, and nothing else.
 */
export function hailHosts(bus: Pick<NatsConnection, 'publish' | 'status'>, hosts: readonly HostName[], hailed: () => void): void {
  const hail = (): void => {
    hailed();
    for (const host of hosts) bus.publish(hailSubject(host));
  };
  const again = async (): Promise<void> => {
    // Ends with the connection.
    for await (const { type } of bus.status()) if (type === 'reconnect') hail();
  };
  hail();
  void again();
}
