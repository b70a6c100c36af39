import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ConfigError, loadConfig } from './config.ts';

const directory = mkdtempSync(join(tmpdir(), 'carnet-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

const schema = z.strictObject({
  domain: z.string(),
  bus: z.strictObject({ url: z.string(), serverName: z.string().optional() }),
  migration: z.strictObject({ offerSeconds: z.int().min(1).default(60) }).prefault({}),
});

const write = (text: string): string => {
  const file = join(directory, `${Math.abs(text.length)}-${text.slice(0, 4).replaceAll(/\W/g, '')}.toml`);
  writeFileSync(file, text);
  return file;
};

const faultsOf = (run: () => unknown): ConfigError => {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('expected a ConfigError');
};

describe('loadConfig', () => {
  it('reads TOML, fills defaults, and takes overrides with the type that the schema wants', () => {
    const file = write('domain = "csp-a.example"\n[bus]\nurl = "tls://127.0.0.1:4222"\n');
    const config = loadConfig(file, schema, {
      CARNET_BUS_SERVER_NAME: 'bus.example',
      CARNET_MIGRATION_OFFER_SECONDS: '7',
      HOME: '/x',
    });
    expect(config).toEqual({
      domain: 'csp-a.example',
      bus: { url: 'tls://127.0.0.1:4222', serverName: 'bus.example' },
      migration: { offerSeconds: 7 },
    });
  });

  it('reports every fault at once: missing, unknown, ill-typed, and variables that name nothing', () => {
    const error = faultsOf(() => loadConfig(write('domian = "x"\n[bus]\nurl = 5\n'), schema, { CARNET_NOTHING: '1' }));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.faults.join('\n')).toMatch(/CARNET_NOTHING/);
    expect(error.faults.join('\n')).toMatch(/domain/);
    expect(error.faults.join('\n')).toMatch(/domian/);
    expect(error.faults.join('\n')).toMatch(/bus\.url/);
  });

  it('tells syntax from a missing file', () => {
    expect(faultsOf(() => loadConfig(write('= ='), schema)).code).toBe('CONFIG_SYNTAX');
    expect(faultsOf(() => loadConfig(join(directory, 'absent.toml'), schema)).code).toBe('CONFIG_UNREADABLE');
  });
});
