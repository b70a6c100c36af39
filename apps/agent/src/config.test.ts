import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '@carnet/runtime';
import { afterAll, describe, expect, it } from 'vitest';
import { agentConfig } from './config.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-agent-config-'));
afterAll(() => rmSync(dir, { recursive: true }));
const example = /```toml\n([\s\S]*?)```/.exec(readFileSync(join(import.meta.dirname, '../README.md'), 'utf8'))?.[1] ?? '';
const load = (text: string, environment: Readonly<Record<string, string>> = {}) => {
  const file = join(dir, 'agent.toml');
  writeFileSync(file, text);
  return loadConfig(file, agentConfig, environment);
};
const faultsOf = (text: string): readonly string[] => {
  try {
    load(text);
  } catch (cause) {
    if (cause instanceof ConfigError) return cause.faults;
    throw cause;
  }
  return [];
};

describe('configuration', () => {
  it('the README’s example is one, with the defaults filled in', () => {
    expect(load(example)).toMatchObject({
      host: 'a1',
      machine: { accelerator: 'tcg' },
      stepsAtOnce: 4,
      libvirt: { uri: 'qemu:///session' },
    });
    expect(load(example, { CARNET_DATAPATH_PORT: '17000' }).dataPath.port).toBe(17_000);
  });

  it('names every fault at once', () => {
    const faults = faultsOf(example.replace('"a1"', '"A_1"').replace('tls://', 'nats://').replace('[libvirt]', '[libvirtd]'));
    expect(faults.length).toBeGreaterThanOrEqual(4);
    for (const word of ['host', 'bus.url', 'libvirt', 'libvirtd']) expect(faults.join('\n')).toContain(word);
  });

  it('takes no relative path: who starts an agent does not decide where its register lies', () => {
    expect(faultsOf(example.replace('"/var/lib/carnet/state"', '"state"')).join('\n')).toContain('directories.state');
  });
});
