import type { Channel } from './channel.ts';
import type { CallOptions } from './deadline.ts';
import { DOMAIN_STATES, type DomainState, type DomainStateName, domainState } from './domain-state.ts';
import {
  CREATE_FLAGS,
  DEFINE_FLAGS,
  DESTROY_FLAGS,
  type Flags,
  flagWord,
  LIST_FLAGS,
  SAVE_FLAGS,
  SHUTDOWN_FLAGS,
  UNDEFINE_FLAGS,
  XML_FLAGS,
} from './flags.ts';
import { type Domain, nameOf, readDomain, writeDomain } from './handles.ts';
import { done, listOf, long, quick } from './procedure.ts';
import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

const domainAndFlags = (w: XdrWriter, domain: Domain, flags: number): XdrWriter => writeDomain(w, domain).uint(flags);
const textAndFlags = (w: XdrWriter, text: string, flags: number): XdrWriter => w.string(text).uint(flags);
const fileXmlFlags = (w: XdrWriter, file: string, xml: string | undefined, flags: number): XdrWriter =>
  w.string(file).optionalString(xml).uint(flags);
const readText = (r: XdrReader): string => r.string();
const readBool = (r: XdrReader): boolean => r.bool();

const P = {
  createXml: long(10, 'domain create from XML', textAndFlags, readDomain),
  getXml: quick(14, 'domain XML', domainAndFlags, readText),
  getAutostart: quick(15, 'domain autostart', writeDomain, readBool),
  getInfo: quick(16, 'domain info', writeDomain, readInfo),
  lookupById: quick(22, 'domain lookup by id', (w, id: number) => w.int(id), readDomain),
  lookupByName: quick(23, 'domain lookup by name', (w, name: string) => w.string(name), readDomain),
  lookupByUuid: quick(24, 'domain lookup by uuid', (w, uuid: string) => w.uuid(uuid), readDomain),
  reboot: quick(27, 'domain reboot', domainAndFlags, done),
  resume: quick(28, 'domain resume', writeDomain, done),
  setAutostart: quick(29, 'domain set autostart', (w, d: Domain, value: number) => writeDomain(w, d).int(value), done),
  suspend: quick(34, 'domain suspend', writeDomain, done),
  isActive: quick(150, 'domain is active', writeDomain, readBool),
  isPersistent: quick(151, 'domain is persistent', writeDomain, readBool),
  createWithFlags: long(196, 'domain create', domainAndFlags, readDomain),
  getState: quick(212, 'domain state', domainAndFlags, (r) => domainState(r.int(), r.int())),
  undefineFlags: quick(231, 'domain undefine', domainAndFlags, done),
  saveFlags: long(
    232,
    'domain save',
    (w, domain: Domain, file: string, xml: string | undefined, flags: number) =>
      fileXmlFlags(writeDomain(w, domain), file, xml, flags),
    done,
  ),
  restoreFlags: long(233, 'domain restore', fileXmlFlags, done),
  destroyFlags: long(234, 'domain destroy', domainAndFlags, done),
  saveImageXml: quick(235, 'save image XML', textAndFlags, readText),
  shutdownFlags: quick(258, 'domain shutdown', domainAndFlags, done),
  listAll: quick(273, 'domain list', (w, flags: number) => w.uint(1).uint(flags), listOf(readDomain)),
  defineXmlFlags: quick(350, 'domain define', textAndFlags, readDomain),
} as const;

/** virDomainInfo. Memory in KiB, processor time in nanoseconds. */
export type DomainInfo = {
  readonly state: DomainStateName;
  readonly maxMemoryKib: bigint;
  readonly memoryKib: bigint;
  readonly vcpus: number;
  readonly cpuTimeNs: bigint;
};

export type Autostart = 'on' | 'off';

type SaveOptions = CallOptions & {
  /** Replaces host-specific parts of the definition inside the image: paths, not the guest's view. */
  readonly xml?: string;
  readonly flags?: Flags<typeof SAVE_FLAGS>;
};
type With<Table> = CallOptions & { readonly flags?: Flags<Table> };

/** Domains: look up, define, run, save and restore (libvirt-domain.h). */
export type Domains = ReturnType<typeof domains>;

export function domains(channel: Channel) {
  return {
    lookupByName: (name: string, options?: CallOptions) => channel.call(P.lookupByName, [name], options),
    lookupByUuid: (uuid: string, options?: CallOptions) => channel.call(P.lookupByUuid, [uuid], options),
    lookupById: (id: number, options?: CallOptions) => channel.call(P.lookupById, [id], options),
    /** All of them, or those that match the flags: names of one group widen, of two groups narrow. */
    list: ({ flags, ...options }: With<typeof LIST_FLAGS> = {}) =>
      channel.call(P.listAll, [flagWord(LIST_FLAGS, flags)], options),

    /** Makes or replaces the persistent definition; starts nothing. */
    define: (xml: string, { flags, ...options }: With<typeof DEFINE_FLAGS> = {}) =>
      channel.call(P.defineXmlFlags, [xml, flagWord(DEFINE_FLAGS, flags)], options),
    undefine: (domain: Domain, { flags, ...options }: With<typeof UNDEFINE_FLAGS> = {}) =>
      channel.call(P.undefineFlags, [domain, flagWord(UNDEFINE_FLAGS, flags)], options),
    xml: (domain: Domain, { flags, ...options }: With<typeof XML_FLAGS> = {}) =>
      channel.call(P.getXml, [domain, flagWord(XML_FLAGS, flags)], options),

    /** Starts a defined domain; the answer has the id of the running instance. */
    create: (domain: Domain, { flags, ...options }: With<typeof CREATE_FLAGS> = {}) =>
      channel.call(P.createWithFlags, [domain, flagWord(CREATE_FLAGS, flags)], options),
    /** Starts a transient domain: its definition is gone when it stops. */
    createTransient: (xml: string, { flags, ...options }: With<typeof CREATE_FLAGS> = {}) =>
      channel.call(P.createXml, [xml, flagWord(CREATE_FLAGS, flags)], options),
    /** Pulls the plug. */
    destroy: (domain: Domain, { flags, ...options }: With<typeof DESTROY_FLAGS> = {}) =>
      channel.call(P.destroyFlags, [domain, flagWord(DESTROY_FLAGS, flags)], options),
    /** Asks the guest; returns when it has been asked, not when it is off. */
    shutdown: (domain: Domain, { flags, ...options }: With<typeof SHUTDOWN_FLAGS> = {}) =>
      channel.call(P.shutdownFlags, [domain, flagWord(SHUTDOWN_FLAGS, flags)], options),
    reboot: (domain: Domain, { flags, ...options }: With<typeof SHUTDOWN_FLAGS> = {}) =>
      channel.call(P.reboot, [domain, flagWord(SHUTDOWN_FLAGS, flags)], options),
    suspend: (domain: Domain, options?: CallOptions) => channel.call(P.suspend, [domain], options),
    resume: (domain: Domain, options?: CallOptions) => channel.call(P.resume, [domain], options),

    info: (domain: Domain, options?: CallOptions) => channel.call(P.getInfo, [domain], options),
    state: (domain: Domain, options?: CallOptions): Promise<DomainState> => channel.call(P.getState, [domain, 0], options),
    isActive: (domain: Domain, options?: CallOptions) => channel.call(P.isActive, [domain], options),
    isPersistent: (domain: Domain, options?: CallOptions) => channel.call(P.isPersistent, [domain], options),
    autostart: async (domain: Domain, options?: CallOptions): Promise<Autostart> =>
      (await channel.call(P.getAutostart, [domain], options)) ? 'on' : 'off',
    setAutostart: (domain: Domain, value: Autostart, options?: CallOptions) =>
      channel.call(P.setAutostart, [domain, value === 'on' ? 1 : 0], options),

    /** Stops the guest and writes its memory, **in clear**, to a file of the daemon's host. */
    save: (domain: Domain, file: string, { xml, flags, ...options }: SaveOptions = {}) =>
      channel.call(P.saveFlags, [domain, file, xml, flagWord(SAVE_FLAGS, flags)], options),
    /** Runs the guest on from such a file. */
    restore: (file: string, { xml, flags, ...options }: SaveOptions = {}) =>
      channel.call(P.restoreFlags, [file, xml, flagWord(SAVE_FLAGS, flags)], options),
    /** The definition inside a save file. */
    saveImageXml: (file: string, { flags, ...options }: CallOptions & { readonly flags?: readonly 'secure'[] } = {}) =>
      channel.call(P.saveImageXml, [file, flagWord({ secure: 1 }, flags)], options),
  } as const;
}

function readInfo(r: XdrReader): DomainInfo {
  return {
    state: nameOf(DOMAIN_STATES, r.uint()),
    maxMemoryKib: r.uhyper(),
    memoryKib: r.uhyper(),
    vcpus: r.uint(),
    cpuTimeNs: r.uhyper(),
  };
}
