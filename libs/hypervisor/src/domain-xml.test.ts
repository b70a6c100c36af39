import { keyId, vmSpec } from '@carnet/events';
import fc from 'fast-check';
import { XMLParser } from 'fast-xml-parser';
import { describe, expect, it } from 'vitest';
import { domainXml, escapeXml, type HostMachine, secretXml } from './domain-xml.ts';
import type { DomainDefinition } from './ports/hypervisor.ts';
import { KEY, SPEC, UUID, VM } from './testing/drive.ts';

const machine: HostMachine = { emulator: '/usr/bin/qemu-system-x86_64', accelerator: 'tcg' };
const definition: DomainDefinition = {
  vm: VM,
  uuid: UUID,
  spec: SPEC,
  disks: [{ target: 'vda', path: '/v/disk.qcow2', key: KEY }],
  boot: { kind: 'kernel', kernelPath: '/b/k', initrdPath: '/b/i', cmdline: 'console=ttyS0' },
  consolePath: '/v/console.log',
};
const parser = new XMLParser({
  ignoreAttributes: false,
  trimValues: false,
  parseTagValue: false,
  parseAttributeValue: false,
  processEntities: true,
  htmlEntities: true,
});

describe('domain XML', () => {
  it('is what a host needs and nothing of the host itself', () => {
    const { domain } = parser.parse(domainXml(definition, machine));
    expect(domain).toMatchObject({
      '@_type': 'qemu',
      name: 'demo',
      uuid: UUID,
      memory: { '#text': '64', '@_unit': 'MiB' },
      os: { type: { '#text': 'hvm', '@_machine': 'pc-q35-7.2' }, kernel: '/b/k', initrd: '/b/i', cmdline: 'console=ttyS0' },
      cpu: { '@_mode': 'custom', '@_check': 'none', model: { '#text': 'qemu64', '@_fallback': 'forbid' } },
      devices: {
        emulator: machine.emulator,
        disk: {
          driver: { '@_type': 'qcow2', '@_cache': 'none' },
          source: { '@_file': '/v/disk.qcow2', encryption: { '@_format': 'luks', secret: { '@_uuid': KEY } } },
        },
        serial: { '@_type': 'file', source: { '@_path': '/v/console.log' } },
      },
    });
    expect(domainXml({ ...definition, boot: { kind: 'disk' } }, { ...machine, accelerator: 'kvm' })).toContain(
      '<domain type="kvm">',
    );
  });

  it('whatever a command line holds comes back as it was, and opens no element', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)), maxLength: 200 }),
        (cmdline) => {
          const spec = vmSpec.parse({
            ...SPEC,
            boot: { kind: 'kernel', kernel: 'a'.repeat(64), initrd: 'b'.repeat(64), cmdline },
          });
          const xml = domainXml(
            { ...definition, spec, boot: { kind: 'kernel', kernelPath: '/k', initrdPath: '/i', cmdline } },
            machine,
          );
          expect(xml.match(/<disk /g)).toHaveLength(1);
          expect(parser.parse(xml).domain.os.cmdline ?? '').toBe(cmdline);
        },
      ),
    );
  });

  it('refuses what XML cannot carry', () => {
    expect(() => escapeXml('a\u0000b')).toThrow(RangeError);
    expect(escapeXml(`<&>"'\n`)).toBe('&lt;&amp;&gt;&quot;&apos;&#10;');
  });

  it('secrets are ephemeral and private', () => {
    const { secret } = parser.parse(secretXml(keyId.parse(KEY), 'carnet <vm>'));
    expect(secret).toMatchObject({ '@_ephemeral': 'yes', '@_private': 'yes', uuid: KEY, description: 'carnet <vm>' });
  });
});
