import { type HostReport, type Notice, notice } from '../command/report.ts';
import { uuidOf } from '../host-paths.ts';
import type { DomainNotice } from '../ports/hypervisor.ts';
import { listVms } from '../vm-record.ts';
import type { Performer } from './perform.ts';

/** Turns libvirt's callbacks into reports. Domains that are not ours are nobody's business. */
export function watchDomains({ self, ports }: Performer) {
  const listeners = new Set<(report: HostReport) => void>();
  const tell = async (heard: DomainNotice): Promise<void> => {
    const vm = (await listVms(ports.files, ports.paths)).find((known) => uuidOf(known.vm) === heard.uuid)?.vm;
    if (heard.uuid !== undefined && vm === undefined) return;
    const report: Notice = {
      kind: 'notice',
      ...self,
      time: ports.clock.now(),
      event: heard.event,
      detail: heard.detail,
      ...(vm === undefined ? {} : { vm }),
    };
    const checked = notice.safeParse(report);
    if (checked.success) for (const listener of listeners) listener(checked.data);
  };
  const unsubscribe = ports.hypervisor.subscribe((heard) => {
    tell(heard).catch((cause: unknown) => ports.log.warn({ err: cause }, 'notice lost'));
  });
  return {
    subscribe: (listener: (report: HostReport) => void): (() => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: unsubscribe,
  };
}
