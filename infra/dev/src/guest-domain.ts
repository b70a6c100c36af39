import type { Guest } from './guest.ts';

export type GuestDomain = {
  readonly name: string;
  readonly uuid: string;
  readonly guest: Guest;
  /** A qcow2 file on the host. */
  readonly disk: string;
  /** UUID of the libvirt secret that opens the disk's LUKS layer; without it the disk is plain. */
  readonly diskSecret?: string;
  /** Where the serial console is appended. */
  readonly console: string;
};

/**
 * Domain XML of the test guest for tests that drive libvirt by hand. Host independent: emulated CPU, fixed machine
 * type, no KVM even where /dev/kvm exists (in a nested machine it opens and still does not work).
 * The values are the test's own and go in unescaped.
 */
export function guestDomainXml({ name, uuid, guest, disk, diskSecret, console }: GuestDomain): string {
  const encryption =
    diskSecret === undefined ? '' : `<encryption format='luks'><secret type='passphrase' uuid='${diskSecret}'/></encryption>`;
  return `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid>
  <memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>${guest.kernel}</kernel><initrd>${guest.initrd}</initrd><cmdline>${guest.commandLine}</cmdline></os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff><on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
      <source file='${disk}'>${encryption}</source><target dev='vda' bus='virtio'/></disk>
    <serial type='file'><source path='${console}' append='on'/><target port='0'/></serial>
    <controller type='usb' model='none'/><memballoon model='none'/><video><model type='none'/></video>
  </devices>
</domain>
`;
}
