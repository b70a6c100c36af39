import { type Connection, type Domain, isRemoteError } from '@carnet/libvirt';
import type { VmState } from '../command/result.ts';
import { domainXml, type HostMachine, secretXml } from '../domain-xml.ts';
import type { DomainFacts, DomainNotice, Hypervisor } from '../ports/hypervisor.ts';
import { copyDisk, diskFacts } from './disks.ts';
import { type LinkOptions, openLink } from './link.ts';

export type LibvirtHypervisorOptions = LinkOptions & { readonly machine: HostMachine };

/** Runs `work` with the domain; undefined when libvirt knows none of that UUID. */
async function withDomain<T>(connection: Connection, uuid: string, work: (domain: Domain) => Promise<T>): Promise<T | undefined> {
  try {
    return await work(await connection.domains.lookupByUuid(uuid));
  } catch (cause) {
    if (isRemoteError(cause, 'NO_DOMAIN')) return undefined;
    throw cause;
  }
}

async function factsOf({ domains }: Connection, domain: Domain): Promise<DomainFacts> {
  const { state, reason } = await domains.state(domain);
  const { cpuTimeNs } = await domains.info(domain);
  const autostart = (await domains.isPersistent(domain)) && (await domains.autostart(domain)) === 'on';
  return { uuid: domain.uuid, state: stateNamed(state), reason, autostart, vcpuTimeMs: Number(cpuTimeNs / 1_000_000n) };
}

/** `blocked` and `shutdown` still have a process that writes. What libvirt cannot name is not off, either. */
function stateNamed(state: string): VmState {
  if (state === 'shutoff' || state === 'crashed') return state;
  return state === 'running' || state === 'blocked' || state === 'shutdown' ? 'running' : 'paused';
}

/** Asked to stop, or to stand still, what has stopped by itself: the state is what was wanted. */
async function unlessOff(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (!isRemoteError(cause, 'OPERATION_INVALID')) throw cause;
  }
}

/** The real thing: libvirtd through our own RPC client. Reconnects by itself and says so. */
export function libvirtHypervisor(options: LibvirtHypervisorOptions): Hypervisor {
  const listeners = new Set<(notice: DomainNotice) => void>();
  const tell = (notice: DomainNotice): void => {
    for (const listener of listeners) listener(notice);
  };
  const link = openLink(options, {
    prepare: async ({ events }) => {
      await events.subscribe('lifecycle', ({ domain, event, detail }) => {
        const named = EVENTS[event];
        if (named !== undefined) tell({ uuid: domain.uuid, event: named, detail });
      });
    },
    live: () => tell({ uuid: undefined, event: 'libvirt-back', detail: '' }),
    lost: (why) => tell({ uuid: undefined, event: 'libvirt-lost', detail: why.code }),
  });
  /** Undoing what is not there succeeds. */
  const on = async (uuid: string, work: (connection: Connection, domain: Domain) => Promise<unknown>): Promise<void> => {
    await link.use((connection) => withDomain(connection, uuid, (domain) => work(connection, domain)));
  };
  /** Everything else needs its domain: libvirt's own NO_DOMAIN is the answer. */
  const must = async (uuid: string, work: (connection: Connection, domain: Domain) => Promise<unknown>): Promise<void> => {
    await link.use(async (connection) => work(connection, await connection.domains.lookupByUuid(uuid)));
  };

  return {
    connection: link.status,
    close: link.close,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    find: (uuid) => link.use((connection) => withDomain(connection, uuid, (domain) => factsOf(connection, domain))),
    list: () =>
      link.use(async (connection) => {
        const found = await connection.domains.list();
        return Promise.all(found.map((domain) => factsOf(connection, domain)));
      }),
    define: (definition) =>
      link.use(async ({ domains }) => {
        const domain = await domains.define(domainXml(definition, options.machine), { flags: ['validate'] });
        await domains.setAutostart(domain, 'off');
      }),
    undefine: (uuid) => on(uuid, ({ domains }, domain) => domains.undefine(domain, { flags: ['managed-save', 'nvram'] })),
    autostartOff: (uuid) => on(uuid, ({ domains }, domain) => domains.setAutostart(domain, 'off')),
    // force-boot: never from a managed save image that somebody left behind.
    startHeld: (uuid) => must(uuid, ({ domains }, domain) => domains.create(domain, { flags: ['paused', 'force-boot'] })),
    restoreHeld: (statePath, definition) =>
      link.use(({ domains }) => domains.restore(statePath, { xml: domainXml(definition, options.machine), flags: ['paused'] })),
    unpause: (uuid) => must(uuid, ({ domains }, domain) => domains.resume(domain)),
    pause: (uuid) => must(uuid, ({ domains }, domain) => unlessOff(() => domains.suspend(domain))),
    disk: (uuid, target) =>
      link.use((connection) => withDomain(connection, uuid, (domain) => diskFacts(connection, domain, target))),
    copyDisk: (uuid, target, to) => must(uuid, (connection, domain) => copyDisk(connection, domain, target, to)),
    pivotDisk: (uuid, target) => must(uuid, ({ blockJobs }, domain) => blockJobs.abort(domain, target, { flags: ['pivot'] })),
    requestShutdown: (uuid) => on(uuid, ({ domains }, domain) => unlessOff(() => domains.shutdown(domain))),
    powerOff: (uuid) => on(uuid, ({ domains }, domain) => unlessOff(() => domains.destroy(domain))),
    save: (uuid, statePath) => must(uuid, ({ domains }, domain) => domains.save(domain, statePath, { flags: ['running'] })),
    putSecret: ({ key, description, value }) =>
      link.use(async ({ secrets }) => secrets.setValue(await secrets.define(secretXml(key, description)), value)),
    dropSecret: (key) => link.use((connection) => dropSecret(connection, key)),
    hasSecret: (key) => link.use(async (connection) => (await findSecret(connection, key)) !== undefined),
  };
}

async function findSecret(
  { secrets }: Connection,
  key: string,
): Promise<Awaited<ReturnType<typeof secrets.lookupByUuid>> | undefined> {
  try {
    return await secrets.lookupByUuid(key);
  } catch (cause) {
    if (isRemoteError(cause, 'NO_SECRET')) return undefined;
    throw cause;
  }
}

async function dropSecret(connection: Connection, key: string): Promise<void> {
  const secret = await findSecret(connection, key);
  if (secret !== undefined) await connection.secrets.undefine(secret);
}

/** libvirt's lifecycle events as far as people want to hear of them. */
const EVENTS: Readonly<Partial<Record<string, DomainNotice['event']>>> = {
  defined: 'defined',
  undefined: 'undefined',
  started: 'started',
  suspended: 'paused',
  resumed: 'resumed',
  stopped: 'stopped',
  crashed: 'crashed',
};
