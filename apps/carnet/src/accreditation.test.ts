import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dsseEnvelope } from '@carnet/events';
import { openPolicySet } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesOf } from '../../../libs/policy/src/testing.ts';
import { EXIT } from './exit.ts';
import { carnet } from './testing/terminal.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-accreditation-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const at = (name: string): string => join(dir, name);
const openssl = (...args: readonly string[]): string => execFileSync('openssl', args, { encoding: 'utf8' });
const put = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};
beforeAll(() => {
  for (const name of ['accreditor', 'another']) {
    openssl('genpkey', '-algorithm', 'ed25519', '-out', at(`${name}.key`));
    openssl('pkey', '-in', at(`${name}.key`), '-pubout', '-out', at(`${name}.pem`));
    chmodSync(at(`${name}.key`), 0o600);
  }
});

const run = (...args: readonly string[]) => carnet(['accreditation', ...args], '/nowhere');
const ISSUER = ['--issuer', 'accreditor.example', '--key'];
const issue = (...more: readonly string[]) =>
  run('issue', ...ISSUER, at('accreditor.key'), '--subject', 'csp-b.example', '--not-after', '2027-01-01T00:00:00.000Z', ...more);
const revoke = (...more: readonly string[]) => run('revoke', ...ISSUER, at('accreditor.key'), ...more);

/** By OpenSSL, over the PAE of DSSE 1.0.2. */
function verified(printed: string): string {
  const { payloadType, payload, signatures } = dsseEnvelope.parse(JSON.parse(printed));
  const bytes = Buffer.from(payload, 'base64');
  put('pae', `DSSEv1 ${payloadType.length} ${payloadType} ${bytes.length} ${bytes}`);
  writeFileSync(at('sig'), Buffer.from(signatures[0]?.sig ?? '', 'base64'));
  const args = ['-verify', '-pubin', '-inkey', at('accreditor.pem'), '-rawin', '-in', at('pae'), '-sigfile', at('sig')];
  expect(openssl('pkeyutl', ...args)).toContain('Signature Verified Successfully');
  return bytes.toString();
}

describe('carnet accreditation', () => {
  it('issues, revokes, and what it prints is what a policy set takes; OpenSSL agrees with every signature', async () => {
    const token = await issue('--claim', 'c5', '--claim', 'a', '--level', '2', '--serial', '1');
    expect(JSON.parse(verified(token.out))).toMatchObject({
      subject: 'csp-b.example',
      claims: ['a', 'c5'],
      level: 2,
      serial: '1',
    });
    const first = await revoke();
    expect(JSON.parse(verified(first.out))).toEqual({
      revokes: 'accreditations',
      issuer: 'accreditor.example',
      number: 1,
      serials: [],
    });
    const second = await revoke('--after', put('first', first.out), '--serial', '9');
    const third = await revoke('--after', put('second', second.out), '--serial', '1', '--serial', '9');
    expect(JSON.parse(verified(third.out))).toMatchObject({ number: 3, serials: ['1', '9'] });
    const shown = await run('show', put('third', third.out), '--accreditor-key', at('accreditor.pem'));
    expect([shown.exit, JSON.parse(shown.out)]).toMatchObject([0, { number: 3 }]);
    const publicKey = /publicKey (\S+)/.exec(shown.err)?.[1];
    const accreditors = [{ issuer: 'accreditor.example', publicKey, revocations: JSON.parse(third.out) }];
    const files = new Map([
      ...filesOf('@id("all") permit (principal, action, resource);'),
      ['accreditors.json', JSON.stringify(accreditors)],
      ['accreditations.json', JSON.stringify([JSON.parse(token.out)])],
    ]);
    expect(openPolicySet(files, policyCrypto)).toMatchObject({
      ok: true,
      value: { announced: { revocations: [{ issuer: 'accreditor.example', number: 3 }] } },
    });
  });

  it('shows nothing as an accreditor’s that another signed', async () => {
    const { out } = await issue('--claim', 'c5', '--serial', '1');
    const shown = await run('show', put('token', out), '--accreditor-key', at('another.pem'));
    expect(shown).toMatchObject({ exit: EXIT.verificationFailed, out: '', err: expect.stringContaining('SIGNATURE_INVALID') });
  });

  it.each([
    ['a list of another accreditor', () => run('revoke', ...ISSUER, at('another.key'), '--after', at('first'))],
    ['a list for another name', () => run('revoke', '--issuer', 'x', '--key', at('accreditor.key'), '--after', at('first'))],
    ['a token as a list', () => revoke('--after', at('token'))],
    ['no file', () => revoke('--after', at('nowhere'))],
    ['a claim that is no word', () => issue('--claim', 'C 5', '--serial', '1')],
  ])('is not made of %s', async (_, work) => {
    put('first', (await revoke()).out);
    put('token', (await issue('--claim', 'c5', '--serial', '1')).out);
    expect(await work()).toMatchObject({ exit: EXIT.usage, out: '', err: expect.stringContaining('ARGUMENT_INVALID') });
  });
});
