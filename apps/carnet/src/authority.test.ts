import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from './exit.ts';
import { carnet } from './testing/terminal.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-verbs-'));
afterAll(() => rmSync(dir, { recursive: true }));
const at = (name: string): string => join(dir, name);
const pass = ['--passphrase-file', at('pass')];
const run = (...args: readonly string[]) => carnet(['authority', ...args], '/nowhere');
const ok = async (...args: readonly string[]): Promise<string> => {
  const { exit, out, err } = await carnet(args, '/nowhere');
  if (exit !== EXIT.done) throw new Error(err);
  return out;
};
const openssl = (...args: readonly string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
const agent = ['--profile', 'agent', '--id', 'spiffe://csp-a.example/agent/h1', '--dns', 'h1.csp-a.example'];

beforeAll(async () => {
  writeFileSync(at('pass'), 'a passphrase that is long enough\n', { mode: 0o600 });
  const issuer = ['--dir', at('issuer')];
  const root = ['--dir', at('root')];
  await ok('authority', 'init', ...root, ...pass, '--name', 'Test root');
  await ok('authority', 'init', ...issuer, ...pass, '--domain', 'csp-a.example');
  const signing = ['--domain', 'csp-a.example', '--request', at('issuer/authority.csr'), '--out', at('a.pem')];
  await ok('authority', 'sign-csp', ...root, ...pass, ...signing);
  await ok('authority', 'accept', ...issuer, '--certificate', at('a.pem'), '--root', at('root/authority.pem'));
  await ok('cert', 'request', '--key', at('h1.key'), ...agent.slice(2), '--out', at('h1.csr'));
  await ok('authority', 'sign-leaf', ...issuer, ...pass, ...agent, '--request', at('h1.csr'), '--out', at('h1.pem'));
  await ok('authority', 'crl', ...issuer, ...pass);
  await ok('authority', 'crl', ...root, ...pass);
});

describe('carnet authority', () => {
  it('makes what OpenSSL takes, from the root down to a host’s certificate', () => {
    for (const name of ['root', 'issuer'])
      openssl('crl', '-inform', 'DER', '-in', at(`${name}/crl.der`), '-out', at(`${name}.crl`));
    writeFileSync(at('crls'), readFileSync(at('root.crl'), 'utf8') + readFileSync(at('issuer.crl'), 'utf8'));
    const trust = ['-CAfile', at('root/authority.pem'), '-untrusted', at('a.pem'), '-CRLfile', at('crls')];
    expect(openssl('verify', '-x509_strict', '-crl_check_all', ...trust, at('h1.pem'))).toContain('OK');
    expect(openssl('req', '-in', at('h1.csr'), '-noout', '-verify', '-text')).toContain('URI:spiffe://csp-a.example/agent/h1');
    expect(statSync(at('h1.key')).mode & 0o777).toBe(0o600);
    expect(openssl('x509', '-in', at('a.pem'), '-noout', '-ext', 'nameConstraints')).toMatch(/critical[\s\S]*URI:csp-a\.example/);
  });

  it('lists what it issued, and when that ends', async () => {
    const rows = JSON.parse(await ok('authority', 'list', '--dir', at('issuer'), '-f', 'json'));
    expect(rows).toMatchObject([{ profile: 'agent', name: 'spiffe://csp-a.example/agent/h1', daysLeft: 29, state: 'good' }]);
  });

  it('refuses with a code, and 5; nothing is written', async () => {
    const issuer = ['--dir', at('issuer'), ...pass];
    const other = [
      '--profile',
      'broker',
      '--id',
      'spiffe://csp-a.example/broker',
      '--request',
      at('h1.csr'),
      '--out',
      at('x.pem'),
    ];
    expect(await run('sign-leaf', ...issuer, ...other)).toMatchObject({
      exit: EXIT.refused,
      err: expect.stringContaining('CSR_NAME_MISMATCH'),
    });
    const foreign = [
      ...agent.slice(0, 2),
      '--id',
      'spiffe://csp-b.example/agent/h1',
      '--request',
      at('h1.csr'),
      '--out',
      at('x.pem'),
    ];
    expect(await run('sign-leaf', ...issuer, ...foreign)).toMatchObject({
      exit: EXIT.refused,
      err: expect.stringContaining('NAME_NOT_PERMITTED'),
    });
    expect(() => statSync(at('x.pem'))).toThrow('ENOENT');
  });

  it('says mistakes with what to do next, and wrong use with 2', async () => {
    expect(await run('init', '--dir', at('root'), ...pass)).toMatchObject({
      exit: EXIT.failed,
      err: expect.stringMatching(/AUTHORITY_EXISTS.*\n.*another directory/),
    });
    const wrong = ['--profile', 'agent', '--id', 'nobody', '--request', at('h1.csr'), '--out', at('x.pem')];
    expect(await run('sign-leaf', '--dir', at('issuer'), ...pass, ...wrong)).toMatchObject({ exit: EXIT.usage });
    expect(await run('crl', '--dir', at('issuer'))).toMatchObject({ exit: EXIT.usage });
  });

  it('revokes, and its next list says so', async () => {
    const [row] = JSON.parse(await ok('authority', 'list', '--dir', at('issuer'), '-f', 'json'));
    const issuer = ['--dir', at('issuer'), ...pass];
    expect((await run('revoke', row.serial, ...issuer, '--reason', 'keyCompromise')).exit).toBe(EXIT.done);
    const text = openssl('crl', '-inform', 'DER', '-in', at('issuer/crl.der'), '-noout', '-text');
    expect(text).toContain(row.serial.toUpperCase());
    expect(await run('revoke', row.serial, ...issuer)).toMatchObject({ exit: EXIT.refused });
    expect(await ok('authority', 'list', '--dir', at('issuer'), '-f', 'json')).toContain('revoked (keyCompromise)');
  });
});
