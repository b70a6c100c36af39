import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '@carnet/runtime';
import { afterAll, describe, expect, it } from 'vitest';
import { readAssets, UiNotBuilt } from './assets.ts';
import { consoleConfig } from './config.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-console-'));
afterAll(() => rmSync(dir, { recursive: true }));

const load = (text: string): unknown => {
  const file = join(dir, 'console.toml');
  writeFileSync(file, text);
  return loadConfig(file, consoleConfig);
};
const BROKER =
  '[broker]\nurl = "https://127.0.0.1:1"\nserverName = "broker.csp-a.example"\nrootFile = "r"\ncertificateFile = "c"\nkeyFile = "k"\n';

describe('configuration', () => {
  it('needs a port and a broker', () => {
    expect(load(`[listen]\nport = 8900\n${BROKER}`)).toMatchObject({
      listen: { address: '127.0.0.1', port: 8900 },
      log: { level: 'info' },
    });
  });

  it.each([
    ['another address than loopback', `[listen]\naddress = "0.0.0.0"\nport = 1\n${BROKER}`, 'listen.address'],
    ['a broker without TLS', `[listen]\nport = 1\n${BROKER.replace('https', 'http')}`, 'broker.url'],
    ['an unknown key', `[listen]\nport = 1\ntoken = "x"\n${BROKER}`, 'listen'],
  ])('refuses %s', (_, text, path) => {
    expect(() => load(text)).toThrow(ConfigError);
    expect(() => load(text)).toThrow(path);
  });
});

describe('built UI', () => {
  it('must be there', () => {
    expect(() => readAssets(join(dir, 'none'))).toThrow(UiNotBuilt);
  });

  it('is served by name, known kinds only', () => {
    writeFileSync(join(dir, 'index.html'), 'x');
    writeFileSync(join(dir, 'secret.key'), 'x');
    expect([...readAssets(dir).keys()]).toEqual(['/']);
  });
});
