import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { type Flags, flagWord, MIGRATE_FLAGS } from './flags.ts';
import { type Domain, writeDomain } from './handles.ts';
import { MIGRATE_COOKIE_BYTES_MAX } from './limits.ts';
import { done, long, quick } from './procedure.ts';
import { type TypedParameter, writeParameters } from './typed-parameter.ts';

const P = {
  setMaxDowntime: quick(
    166,
    'migration set maximum downtime',
    (w, domain: Domain, ms: bigint) => writeDomain(w, domain).uhyper(ms).uint(0),
    done,
  ),
  setMaxSpeed: quick(
    207,
    'migration set maximum speed',
    (w, domain: Domain, mibPerSecond: bigint) => writeDomain(w, domain).uhyper(mibPerSecond).uint(0),
    done,
  ),
  perform3: long(
    305,
    'migrate',
    (w, domain: Domain, destination: string, parameters: readonly TypedParameter[], flags: number) =>
      writeParameters(writeDomain(w, domain).optionalString(destination), parameters)
        // In peer-to-peer mode the two daemons hand their cookies to each other; ours is empty.
        .opaque(new Uint8Array(), MIGRATE_COOKIE_BYTES_MAX)
        .uint(flags),
    (r): void => {
      r.opaque(MIGRATE_COOKIE_BYTES_MAX);
    },
  ),
} as const;

export type MigrateOptions = CallOptions & {
  /** `peer2peer` is always set: this client never carries the guest's data itself. */
  readonly flags?: Flags<typeof MIGRATE_FLAGS>;
  /** Where QEMU connects for memory, e.g. `tcp://10.0.0.7`; needed when the peer's name does not resolve. */
  readonly migrateUri?: string;
  readonly destinationName?: string;
  /** Host-specific parts as the target has them; the guest's view must be equal. */
  readonly destinationXml?: string;
  /** The same for the definition that stays (`persist-dest`). */
  readonly persistentXml?: string;
  /** Targets (`vda`) of the disks to copy; all writable ones by default. */
  readonly disks?: readonly string[];
  readonly disksUri?: string;
  readonly bandwidthMibPerSecond?: bigint;
  /** Name the target's certificate must carry, if it is not the address. */
  readonly tlsDestination?: string;
  /** Any other VIR_MIGRATE_PARAM_*, as it is. */
  readonly parameters?: readonly TypedParameter[];
};

/** Live migration between two daemons (virDomainMigrateToURI3). */
export type Migration = ReturnType<typeof migration>;

export function migration(channel: Channel) {
  return {
    /**
     * Tells the daemon to migrate the domain to another daemon, and waits until it is over.
     * After an error of libvirt's the guest goes on here. One case libvirt itself leaves open: when the two daemons
     * lose each other at the very last step, it may run there as well. Where that must not be, let something
     * outside libvirt decide who may run (a key, a lease), and look at both sides.
     * @param destination the other daemon as this one reaches it, e.g. `qemu+tls://host:16514/session`
     */
    perform: (domain: Domain, destination: string, options: MigrateOptions = {}) => {
      const { signal, timeoutMs, flags = [] } = options;
      const flagsWord = flagWord(MIGRATE_FLAGS, [...flags, 'peer2peer']);
      return channel.call(P.perform3, [domain, destination, migrateParameters(options), flagsWord], {
        ...(signal && { signal }),
        ...(timeoutMs !== undefined && { timeoutMs }),
      });
    },
    /** Milliseconds the guest may stand still at the switch; also while the migration runs. */
    setMaxDowntime: (domain: Domain, ms: bigint, options?: CallOptions) => channel.call(P.setMaxDowntime, [domain, ms], options),
    setMaxSpeed: (domain: Domain, mibPerSecond: bigint, options?: CallOptions) =>
      channel.call(P.setMaxSpeed, [domain, mibPerSecond], options),
  } as const;
}

function migrateParameters(options: MigrateOptions): readonly TypedParameter[] {
  return [
    ...text('migrate_uri', options.migrateUri),
    ...text('destination_name', options.destinationName),
    ...text('destination_xml', options.destinationXml),
    ...text('persistent_xml', options.persistentXml),
    ...text('disks_uri', options.disksUri),
    ...text('tls.destination', options.tlsDestination),
    ...(options.disks ?? []).flatMap((disk) => text('migrate_disks', disk)),
    ...(options.bandwidthMibPerSecond === undefined
      ? []
      : [{ field: 'bandwidth', type: 'ullong', value: options.bandwidthMibPerSecond } as const]),
    ...(options.parameters ?? []),
  ];
}

function text(field: string, value: string | undefined): readonly TypedParameter[] {
  return value === undefined ? [] : [{ field, type: 'string', value }];
}
