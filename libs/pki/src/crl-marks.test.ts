import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digest } from '@carnet/events';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createCrl } from './build-crl.ts';
import { type CrlMarks, fileCrlMarks, memoryCrlMarks } from './crl-marks.ts';
import { validatePath } from './path.ts';
import { writePem } from './pem.ts';
import { certify, createWorld, crlOf, HOUR_MS, NOW_MS } from './testing/chains.ts';
import { questionOf, serialOf } from './testing/oracle.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-marks-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const world = await createWorld();
const { root, a, b, leafKeys: keys } = world;
const leaf = certify({ issuer: a, keys });
const revoked = [{ serial: serialOf(leaf), atMs: NOW_MS - HOUR_MS, reason: 'keyCompromise' }] as const;
const codeWith = (marks: CrlMarks, ...lists: readonly Uint8Array[]): string => {
  const result = validatePath({ ...questionOf(world, [], { leaf, crls: [crlOf(root), ...lists] }), marks });
  return result.ok ? 'ok' : result.code;
};

describe('CRL numbers', () => {
  it('never go back, a restart later neither', () => {
    const file = join(dir, 'marks.json');
    const marks = fileCrlMarks(file);
    expect(codeWith(marks, crlOf(a, [], 7))).toBe('ok');
    expect(codeWith(marks, crlOf(a, revoked, 8))).toBe('REVOKED');
    const written = readFileSync(file, 'utf8');
    expect(codeWith(marks, crlOf(a, [], 7))).toBe('CRL_NUMBER_BACK');
    expect(codeWith(fileCrlMarks(file), crlOf(a, [], 7))).toBe('CRL_NUMBER_BACK');
    expect(codeWith(fileCrlMarks(file), crlOf(a, revoked, 8))).toBe('REVOKED');
    expect(readFileSync(file, 'utf8')).toBe(written);
  });

  it('are used once: a CA that was restored contradicts itself', () => {
    const marks = memoryCrlMarks();
    expect(codeWith(marks, crlOf(a, revoked, 3))).toBe('REVOKED');
    expect(codeWith(marks, crlOf(a, [], 3))).toBe('CRL_NUMBER_REUSED');
  });

  it('of a forged list, or one of another issuer, count for nothing', () => {
    const marks = memoryCrlMarks();
    expect(codeWith(marks, crlOf(a, [], 2))).toBe('ok');
    expect(codeWith(marks, crlOf({ ...a, keys: world.otherKeys }, [], 99))).toBe('CRL_SIGNATURE_INVALID');
    expect(codeWith(marks, crlOf(a, [], 2), crlOf(b, [], 99))).toBe('ok');
    expect(codeWith(marks, crlOf(a, [], 3))).toBe('ok');
  });

  it('of a list that is not valid yet are not learnt', () => {
    const marks = memoryCrlMarks();
    const tomorrow = createCrl(a, { number: 9, thisUpdateMs: NOW_MS + HOUR_MS, nextUpdateMs: NOW_MS + 2 * HOUR_MS, revoked: [] });
    expect(codeWith(marks, tomorrow)).toBe('CRL_NOT_YET_VALID');
    expect(codeWith(marks, crlOf(a, [], 2))).toBe('ok');
  });

  it('that cannot be written are not believed', () => {
    const gone = join(dir, 'gone');
    mkdirSync(gone);
    const marks = fileCrlMarks(join(gone, 'marks.json'));
    rmSync(gone, { recursive: true });
    expect(codeWith(marks, crlOf(a, [], 2))).toBe('CRL_MARK_UNWRITTEN');
    mkdirSync(gone);
    expect(codeWith(marks, crlOf(a, [], 2))).toBe('ok');
  });

  it.each([
    '',
    '{}',
    '{"v":1,"marks":[{"issuer":"x","number":"1","list":"y"}]}',
    '{"v":1,"marks":[],"more":1}',
  ])('in a broken file (%s) stop the start', (text) => {
    const file = join(dir, 'broken.json');
    writeFileSync(file, text);
    expect(() => fileCrlMarks(file)).toThrow('MARKS_BROKEN');
  });

  it('whatever comes in whatever order, the highest is the mark', () => {
    const issuer = digest.parse('aa'.repeat(32));
    fc.assert(
      fc.property(
        fc.array(fc.record({ number: fc.bigInt({ min: -1n, max: 20n }), list: fc.constantFrom('bb', 'cc') })),
        (seen) => {
          const marks = memoryCrlMarks();
          let highest: { readonly number: bigint; readonly list: string } | undefined;
          for (const one of seen) {
            const isKept =
              highest === undefined ||
              one.number > highest.number ||
              (one.number === highest.number && one.list === highest.list);
            expect(marks.keep({ issuer, number: one.number, list: digest.parse(one.list.repeat(32)) }) === 'kept').toBe(isKept);
            if (isKept) highest = one;
          }
        },
      ),
    );
  });
});

it('OpenSSL reads our CRLs', () => {
  const file = join(dir, 'crl.der');
  const ca = join(dir, 'ca.pem');
  writeFileSync(file, crlOf(a, revoked, 300));
  writeFileSync(ca, writePem('CERTIFICATE', a.certificate));
  const seen = spawnSync('openssl', ['crl', '-inform', 'DER', '-in', file, '-CAfile', ca, '-noout', '-text', '-crlnumber'], {
    encoding: 'utf8',
  });
  expect(seen.stderr).toContain('verify OK');
  expect(seen.stdout).toContain('crlNumber=0x012C');
  expect(seen.stdout.toLowerCase()).toContain(serialOf(leaf));
  expect(seen.stdout).toContain('Key Compromise');
});
