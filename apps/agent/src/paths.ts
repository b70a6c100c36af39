import { type HostPaths, hostPaths } from '@carnet/hypervisor';
import type { AgentConfig } from './config.ts';

export const pathsOf = ({ directories, libvirt }: Pick<AgentConfig, 'directories' | 'libvirt'>): HostPaths =>
  hostPaths({
    stateDir: directories.state,
    volumesDir: directories.volumes,
    tmpfsDir: directories.tmpfs,
    bootDir: directories.boot,
    importDir: directories.imports,
    vtpmDir: libvirt.swtpm,
  });
