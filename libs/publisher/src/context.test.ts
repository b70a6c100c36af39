import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ContextError, contextFile, loadContext } from './context.ts';

let home = '';
const folder = (): string => join(home, 'carnet');
const BASE = 'url = "https://127.0.0.1:1"\nserverName = "broker.csp-a.example"\nrootFile = "root.pem"\n';

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'carnet-context-'));
  mkdirSync(folder());
  for (const name of ['root.pem', 'leaf.pem', 'leaf.key']) writeFileSync(join(folder(), name), `${name}\n`);
  writeFileSync(join(folder(), 'token'), '  secret\n');
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({ XDG_CONFIG_HOME: home, ...more });

function loaded(text: string): unknown {
  writeFileSync(join(folder(), 'one.toml'), text);
  try {
    return loadContext('one', environment());
  } catch (cause) {
    if (cause instanceof ContextError) return `${cause.code} ${cause.message}`;
    throw cause;
  }
}

describe('a context', () => {
  it('is found by name, by path, by the environment, else is the default', () => {
    expect(contextFile('one', environment())).toBe(join(folder(), 'one.toml'));
    expect(contextFile('/a/b.toml', environment())).toBe('/a/b.toml');
    expect(contextFile(undefined, environment({ CARNET_CONTEXT: 'two' }))).toBe(join(folder(), 'two.toml'));
    expect(contextFile(undefined, { HOME: '/home/x' })).toBe('/home/x/.config/carnet/default.toml');
  });

  it('holds a certificate and its key', () => {
    expect(loaded(`${BASE}certificateFile = "leaf.pem"\nkeyFile = "leaf.key"\n`)).toEqual({
      file: join(folder(), 'one.toml'),
      rootFile: join(folder(), 'root.pem'),
      address: {
        url: 'https://127.0.0.1:1',
        serverName: 'broker.csp-a.example',
        ca: 'root.pem\n',
        credentials: { kind: 'certificate', certificate: 'leaf.pem\n', key: 'leaf.key\n' },
      },
    });
  });

  it('or a token, without the space around it', () => {
    expect(loaded(`${BASE}tokenFile = "token"\n`)).toMatchObject({
      address: { credentials: { kind: 'token', token: 'secret' } },
    });
  });

  it.each([
    ['no credentials', BASE, 'either certificateFile and keyFile, or tokenFile'],
    ['both', `${BASE}certificateFile = "leaf.pem"\nkeyFile = "leaf.key"\ntokenFile = "token"\n`, 'either'],
    ['half a pair', `${BASE}certificateFile = "leaf.pem"\n`, 'either'],
    ['http', BASE.replace('https', 'http'), 'url'],
    ['an unknown key', `${BASE}tokenFile = "token"\nuser = "me"\n`, 'user'],
    ['no TOML', 'url = \n', 'one.toml: '],
    ['a file that is not there', `${BASE}tokenFile = "gone"\n`, 'names gone'],
  ])('is refused with %s', (_, text, says) => {
    const said = loaded(text);
    expect(said).toMatch(/^CONTEXT_INVALID /);
    expect(said).toContain(says);
    expect(said).not.toContain('\n');
  });

  it('that is not there is named', () => {
    expect(() => loadContext('none', environment())).toThrow(
      expect.objectContaining({ code: 'CONTEXT_MISSING', message: expect.stringContaining('none.toml') }),
    );
  });
});
