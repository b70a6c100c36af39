import { join } from 'node:path';
import { type Host, type HostOptions, scratch, startHost } from '@carnet/dev';
import { type Connection, type ConnectOptions, connect } from '../index.ts';

/** A real libvirtd of its own, and how to reach it. */
export async function startQemuHost(name: string, options: Partial<HostOptions> = {}): Promise<Host> {
  return startHost({ dir: join(scratch('lv'), name), name, hostUuid: '00000001-aaaa-4bbb-8ccc-000000000001', ...options });
}

export function reach(host: Host, options: Partial<ConnectOptions> = {}): Promise<Connection> {
  return connect({ transport: { kind: 'unix', path: host.socket }, uri: 'qemu:///session', ...options });
}

/** A guest without an operating system: real QEMU, 16 MiB, stopped at the firmware. Ready in half a second. */
export function tinyGuestXml(name: string, disks = ''): string {
  return `<domain type='qemu'><name>${name}</name><memory unit='MiB'>16</memory>
    <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
    <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
    <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>${disks}
      <controller type='usb' model='none'/><memballoon model='none'/><video><model type='none'/></video></devices></domain>`;
}
