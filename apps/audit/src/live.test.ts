import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { auditReport } from './report.ts';
import { exportLines } from './testing/exports.ts';
import { CSP_A, CSP_B, createFederation } from './testing/federation.ts';
import { ran as runs } from './testing/ran.ts';
import { Telling } from './testing/telling.ts';

type Answer = 'whole' | 'cut' | 'no end';

const HOUR_MS = 3_600_000;
const exportedMs = Date.now();
const dir = mkdtempSync(join(tmpdir(), 'carnet-audit-live-'));
let telling: Telling;
let answer: Answer = 'whole';
const asked: string[] = [];
const servers: Server[] = [];

/** What a broker's `GET /v1/export` looks like from outside, TLS and client certificates included. */
async function serve(domain: typeof CSP_A): Promise<void> {
  const pem = (name: string): Buffer => readFileSync(join(dir, domain, name));
  const tls = {
    cert: pem('broker.pem'),
    key: pem('broker.key'),
    ca: readFileSync(join(dir, 'root.pem')),
    requestCert: true,
    minVersion: 'TLSv1.3' as const,
  };
  const server = createServer(tls, (request, response) => {
    asked.push(request.url ?? '');
    const lines = exportLines(telling, domain, exportedMs);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    if (answer === 'whole') return void response.end(`${lines.join('\n')}\n`);
    if (answer === 'no end') return void response.end(`${lines.slice(0, -1).join('\n')}\n`);
    response.write(`${lines.slice(0, 4).join('\n')}\n`, () => response.destroy());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const lines = [
    `url = "https://127.0.0.1:${port}"`,
    `serverName = "broker.${domain}"`,
    'rootFile = "root.pem"',
    `certificateFile = "${domain}/auditor.pem"`,
    `keyFile = "${domain}/auditor.key"`,
  ];
  writeFileSync(context(domain), `${lines.join('\n')}\n`);
}
const context = (domain: string): string => join(dir, `${domain}.toml`);

beforeAll(async () => {
  telling = new Telling(await createFederation(dir, exportedMs - HOUR_MS));
  telling.play(telling.intend(1));
  await serve(CSP_A);
  await serve(CSP_B);
}, 120_000);
afterEach(() => void vi.unstubAllEnvs());
afterAll(async () => {
  for (const server of servers) server.close();
  await rm(dir, { recursive: true, force: true });
});

const ran = (...args: readonly string[]) => runs(args, { environment: {}, nowMs: () => exportedMs });

describe('live ledgers', () => {
  it('both brokers, root and lists beside the context', async () => {
    answer = 'whole';
    // A place of its own: other tests leave theirs in the common one at any moment.
    const scratch = mkdtempSync(join(dir, 'scratch-'));
    vi.stubEnv('TMPDIR', scratch);
    const { code, out, err } = await ran('verify', '--context', context(CSP_A), '--context', context(CSP_B), '--json');
    expect([code, err]).toEqual([0, '']);
    expect(auditReport.parse(JSON.parse(out)).verdict).toMatch(/^proven to head/);
    expect([tmpdir(), readdirSync(scratch)]).toEqual([scratch, []]);
  });

  it.each([
    ['cut', 1, 'BROKER_FAILED'],
    ['no end', 3, 'EXPORT_TRUNCATED'],
  ] as const)('half an export is no export: %s', async (how, code, text) => {
    answer = how;
    expect(await ran('verify', '--context', context(CSP_A))).toMatchObject({ code, err: expect.stringContaining(text) });
    const file = join(dir, `half-${code}.jsonl`);
    expect((await ran('export', '--context', context(CSP_A), '--out', file)).code).toBe(code);
    expect(readdirSync(dir).filter((name) => name.startsWith('half'))).toEqual([]);
  });

  it('an export is written once, whole, for its owner', async () => {
    answer = 'whole';
    const file = join(dir, 'kept.jsonl');
    expect(await ran('export', '--context', context(CSP_A), '--out', file, '--peer', CSP_B)).toMatchObject({ code: 0 });
    expect(asked.at(-1)).toBe(`/v1/export?peer=${CSP_B}`);
    expect([statSync(file).mode & 0o777, existsSync(file)]).toEqual([0o600, true]);
    const before = readFileSync(file, 'utf8');
    expect(await ran('export', '--context', context(CSP_A), '--out', file)).toMatchObject({
      code: 2,
      err: expect.stringContaining('EXPORT_EXISTS'),
    });
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect((await ran('verify', file, '--context', context(CSP_B))).code).toBe(0);
    expect(readdirSync(dir).filter((name) => name.endsWith('.part'))).toEqual([]);
  });
});
