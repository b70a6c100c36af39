import type { DomainDefinition } from './ports/hypervisor.ts';

/** How this host runs guests: its own choice, never a peer's. `kvm` only by explicit setting (facts: /dev/kvm may exist and be useless). */
export type HostMachine = { readonly emulator: string; readonly accelerator: 'tcg' | 'kvm' };

type Attributes = Readonly<Record<string, string | number>>;

const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;
const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

/** Text as XML 1.0 character data or attribute value. White space is written as references, or a parser would normalise it. */
export function escapeXml(value: string): string {
  if (FORBIDDEN.test(value)) throw new RangeError('expected text that XML 1.0 can carry, got a control character');
  return value.replaceAll(/[&<>"']/g, (c) => ENTITIES[c] ?? '').replaceAll(/[\t\n\r]/g, (c) => `&#${c.charCodeAt(0)};`);
}

const open = (name: string, attributes: Attributes): string =>
  [name, ...Object.entries(attributes).map(([key, value]) => `${key}="${escapeXml(String(value))}"`)].join(' ');

const empty = (name: string, attributes: Attributes = {}): string => `<${open(name, attributes)}/>`;
const text = (name: string, value: string | number, attributes: Attributes = {}): string =>
  `<${open(name, attributes)}>${escapeXml(String(value))}</${name}>`;
const within = (name: string, attributes: Attributes, ...children: readonly string[]): string =>
  `<${open(name, attributes)}>${children.join('')}</${name}>`;

/** Marks our domains for libvirt's hook and for people; carries the federated identity, which the UUID alone is not. */
export const METADATA_NAMESPACE = 'urn:carnet:vm:1';

/**
 * libvirt's domain XML from typed fields and this host's paths. Host independent (explicit machine and CPU model, no probing of
 * the host), so that saved memory restores elsewhere. See libvirt's formatdomain; elements in its order.
 */
export function domainXml(definition: DomainDefinition, machine: HostMachine): string {
  const { spec } = definition;
  return within(
    'domain',
    { type: machine.accelerator === 'kvm' ? 'kvm' : 'qemu' },
    text('name', spec.name),
    text('uuid', definition.uuid),
    within('metadata', {}, text('carnet:vm', definition.vm, { 'xmlns:carnet': METADATA_NAMESPACE })),
    text('memory', spec.memoryMiB, { unit: 'MiB' }),
    text('vcpu', spec.vcpus),
    bootXml(definition),
    within('features', {}, empty('acpi')),
    // check='none': libvirt must not compare with this host's processor, or saved memory restores nowhere else.
    within('cpu', { mode: 'custom', match: 'exact', check: 'none' }, text('model', spec.cpuModel, { fallback: 'forbid' })),
    empty('clock', { offset: 'utc' }),
    text('on_poweroff', 'destroy'),
    text('on_reboot', 'restart'),
    text('on_crash', 'destroy'),
    devicesXml(definition, machine),
  );
}

function bootXml({ spec, boot }: DomainDefinition): string {
  const type = text('type', 'hvm', { arch: 'x86_64', machine: spec.machine });
  if (boot.kind === 'disk') return within('os', {}, type, empty('boot', { dev: 'hd' }));
  return within('os', {}, type, text('kernel', boot.kernelPath), text('initrd', boot.initrdPath), text('cmdline', boot.cmdline));
}

function devicesXml({ disks, vtpm, consolePath }: DomainDefinition, machine: HostMachine): string {
  return within(
    'devices',
    {},
    text('emulator', machine.emulator),
    ...disks.map(diskXml),
    empty('controller', { type: 'usb', model: 'none' }),
    within('serial', { type: 'file' }, empty('source', { path: consolePath, append: 'on' }), empty('target', { port: 0 })),
    within(
      'console',
      { type: 'file' },
      empty('source', { path: consolePath, append: 'on' }),
      empty('target', { type: 'serial', port: 0 }),
    ),
    ...(vtpm === undefined ? [] : [vtpmXml(vtpm.key)]),
    within('video', {}, empty('model', { type: 'none' })),
    empty('memballoon', { model: 'none' }),
  );
}

/** One disk, in a domain or as the place that a copy goes to. */
export const diskXml = (disk: DomainDefinition['disks'][number]): string =>
  within(
    'disk',
    { type: 'file', device: 'disk' },
    // cache=none: what the guest flushed is in the file before the file is sealed. Format given, never probed.
    empty('driver', { name: 'qemu', type: 'qcow2', cache: 'none', discard: 'unmap' }),
    within(
      'source',
      { file: disk.path },
      within('encryption', { format: 'luks' }, empty('secret', { type: 'passphrase', uuid: disk.key })),
    ),
    empty('target', { dev: disk.target, bus: 'virtio' }),
  );

/** persistent_state: libvirt does not remove the state with the definition. What ends it is our own shredding. */
const vtpmXml = (key: string): string =>
  within(
    'tpm',
    { model: 'tpm-crb' },
    within('backend', { type: 'emulator', version: '2.0', persistent_state: 'yes' }, empty('encryption', { secret: key })),
  );

/** A LUKS passphrase's place in libvirt: never written to disk (`ephemeral`), never handed out (`private`). */
export const secretXml = (uuid: string, description: string): string =>
  within('secret', { ephemeral: 'yes', private: 'yes' }, text('uuid', uuid), text('description', description));
