import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CertificateRow } from './certificate-rows.ts';
import { checkCertificates } from './check-certificates.ts';
import { CHECK } from './check-verdict.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

const DAY_MS = 86_400_000;
const nowMs = Date.parse('2026-06-01T00:00:00.000Z');
const row = (lifeDays: number, leftDays: number, more: Partial<CertificateRow> = {}): CertificateRow => ({
  kind: 'agent',
  name: 'spiffe://csp-a.example/agent/h1',
  serial: 'ab',
  notBefore: new Date(nowMs + (leftDays - lifeDays) * DAY_MS).toISOString(),
  notAfter: new Date(nowMs + leftDays * DAY_MS).toISOString(),
  daysLeft: Math.floor(leftDays),
  standing: 'good',
  ...more,
});

describe('checkCertificates', () => {
  it.each([
    ['a leaf that is about to renew itself', [row(30, 10)], CHECK.ok],
    ['one that should have', [row(30, 7)], CHECK.warning],
    ['one that has hours', [row(30, 0.5)], CHECK.critical],
    ['one that has ended', [row(30, -1)], CHECK.critical],
    ['a refused one', [row(30, 29, { standing: 'REVOKED' })], CHECK.critical],
    ['a root with three years', [row(3_650, 1_000)], CHECK.ok],
    ['a root with two months', [row(3_650, 60)], CHECK.warning],
    ['a list at half of its life', [row(7, 3.5, { kind: 'crl' })], CHECK.ok],
    ['a time that is no number', [row(30, 20, { notAfter: 'never' })], CHECK.critical],
    ['the worst of several', [row(30, 20), row(30, 1), row(30, 7)], CHECK.critical],
    ['nothing at all', [], CHECK.unknown],
  ] as const)('%s', (_, rows, exit) => {
    expect(checkCertificates(rows, nowMs).exit).toBe(exit);
  });

  it('says which ends first, in one line that cannot be forged', () => {
    expect(checkCertificates([row(30, 20), row(30, 12)], nowMs).line).toBe(
      'CERT OK - 2 certificates and lists; agent spiffe://csp-a.example/agent/h1 (good) ends in 12 days | days_left=12',
    );
    const { line } = checkCertificates([row(30, 20), row(30, 12, { name: 'a|days_left=99\nOK', standing: 'REVOKED' })], nowMs);
    expect(line.split('|')).toHaveLength(2);
    expect(line.split('\n')).toHaveLength(1);
    expect(line).toContain('CRITICAL - 1 of 2');
  });
});

describe('carnet check cert', () => {
  let broker: StandIn;
  beforeAll(async () => {
    broker = await openStandIn();
  });
  afterAll(() => broker.close());
  const fresh = {
    ...row(30, 20),
    notBefore: new Date(Date.now()).toISOString(),
    notAfter: new Date(Date.now() + DAY_MS * 20).toISOString(),
  };

  it('ends with the code of the verdict', async () => {
    broker.script({ 'GET /v1/certificates': { json: { items: [fresh] } } });
    expect(await carnet(['check', 'cert'], broker.configHome)).toMatchObject({
      exit: 0,
      out: expect.stringMatching(/^CERT OK - .*days_left=19\n$/),
    });
    broker.script({ 'GET /v1/certificates': { json: { items: [{ ...fresh, standing: 'REVOKED' }] } } });
    expect(await carnet(['check', 'cert'], broker.configHome)).toMatchObject({
      exit: 2,
      out: expect.stringContaining('CRITICAL'),
    });
  });

  it('a broker that does not answer, or refuses, is UNKNOWN', async () => {
    expect(await carnet(['check', 'cert', '--context', 'nobody'], broker.configHome)).toMatchObject({
      exit: 3,
      out: expect.stringMatching(/^CERT UNKNOWN - UNREACHABLE/),
    });
    broker.script({ 'GET /v1/certificates': { status: 403, json: { code: 'ROLE_MISSING', text: 'no' } } });
    expect(await carnet(['check', 'cert'], broker.configHome)).toMatchObject({ exit: 3 });
  });
});
