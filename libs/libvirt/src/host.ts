import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { nothing, quick } from './procedure.ts';
import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

const readText = (r: XdrReader): string => r.string();

const P = {
  type: quick(3, 'driver type', nothing, readText),
  hypervisorVersion: quick(4, 'hypervisor version', nothing, (r) => r.uhyper()),
  capabilities: quick(7, 'capabilities', nothing, readText),
  hostname: quick(59, 'hostname', nothing, readText),
  uri: quick(110, 'connection URI', nothing, readText),
  domainCapabilities: quick(342, 'domain capabilities', writeQuestion, readText),
} as const;

/** Which emulator the question is about; what is left out libvirt chooses. */
export type DomainCapabilitiesQuestion = {
  readonly emulator?: string;
  readonly arch?: string;
  readonly machine?: string;
  readonly virtType?: string;
};

/** The host behind the connection (libvirt-host.h). */
export type Host = ReturnType<typeof host>;

export function host(channel: Channel) {
  return {
    /** Name of the driver, e.g. `QEMU` or `TEST`. */
    driver: (options?: CallOptions) => channel.call(P.type, [], options),
    hostname: (options?: CallOptions) => channel.call(P.hostname, [], options),
    /** The URI as the daemon understood it. */
    uri: (options?: CallOptions) => channel.call(P.uri, [], options),
    /** Of the emulator, encoded as `Connection.libVersion` is. */
    hypervisorVersion: (options?: CallOptions) => channel.call(P.hypervisorVersion, [], options),
    /** XML: the host's processor, topology and what guests it can run. */
    capabilities: (options?: CallOptions) => channel.call(P.capabilities, [], options),
    /** XML: what one emulator can give a guest. */
    domainCapabilities: ({ emulator, arch, machine, virtType, ...options }: CallOptions & DomainCapabilitiesQuestion = {}) =>
      channel.call(P.domainCapabilities, [emulator, arch, machine, virtType], options),
  } as const;
}

function writeQuestion(
  w: XdrWriter,
  emulator: string | undefined,
  arch: string | undefined,
  machine: string | undefined,
  virtType: string | undefined,
): XdrWriter {
  return w.optionalString(emulator).optionalString(arch).optionalString(machine).optionalString(virtType).uint(0);
}
