import { fakeHypervisor } from './fake/hypervisor.ts';
import { memoryFiles } from './fake/memory-files.ts';
import { fakeVolumes, placeFakeHeader } from './fake/volumes.ts';
import { hypervisorContract } from './testing/contract-suite.ts';
import { KEY, SPEC, UUID, VM, VTPM_KEY } from './testing/drive.ts';

hypervisorContract('fake', async () => {
  const files = memoryFiles({ tmpfs: ['/t'] });
  const hypervisor = fakeHypervisor(files);
  return {
    hypervisor,
    volumes: fakeVolumes(files),
    files,
    luksPlace: (path) => placeFakeHeader(files, path),
    definition: {
      vm: VM,
      uuid: UUID,
      spec: SPEC,
      disks: [{ target: 'vda', path: '/v/a.qcow2', key: KEY }],
      boot: { kind: 'disk' },
      vtpm: { key: VTPM_KEY, statePath: '/p/vtpm' },
      consolePath: '/v/console.log',
    },
    statePath: '/t/state',
    otherDisk: '/v/b.qcow2',
    putPlain: (path, content) => files.write(path, content),
    putLink: async (path) => files.link(path),
    capacityBytes: 1_048_576,
    bootMs: 1_000,
    close: () => hypervisor.close(),
  };
});
