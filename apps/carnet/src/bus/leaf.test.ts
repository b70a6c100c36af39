import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { EXIT } from '../exit.ts';
import { carnet } from '../testing/terminal.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-leaf-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const PIN = 'a'.repeat(64);
const file = (keyPins: string): string => {
  const to = join(dir, 'leaf.toml');
  writeFileSync(
    to,
    `domain = "csp-a.example"
listen = "192.0.2.10:4222"
hosts = ["h1"]
peers = ["csp-b.example"]
certificateFile = "/etc/nats/server.pem"
keyFile = "/etc/nats/server.key"
rootFile = "/etc/carnet/root.pem"
[hub]
servers = ["nats.bus.example:7422"]
keyPins = ${keyPins}
`,
  );
  return to;
};

it('a CSP’s own server: its broker and hosts may connect, and it knows the bus by its key', async () => {
  const { exit, out } = await carnet(['bus', 'leaf', '--config', file(`["${PIN}"]`)], '/nowhere');
  expect(exit).toBe(EXIT.done);
  expect(out).toContain('listen: "192.0.2.10:4222"');
  expect(out).not.toContain('{{');
  expect(out.match(/user: "[^"]+"/g)).toEqual([
    'user: "spiffe://csp-a.example/broker"',
    'user: "spiffe://csp-a.example/agent/h1"',
  ]);
  expect(out).toContain(`pinned_certs: ["${PIN}"]`);
  expect(out).toContain('urls: ["tls://nats.bus.example:7422"]');
  expect(out).toContain('deny_imports: ["host.>", "_INBOX.host.>"], deny_exports: ["host.>", "_INBOX.host.>"]');
});

it.each(['[]', '["short"]'])('without a key of the bus there is none: %s', async (keyPins) => {
  const { exit, out, err } = await carnet(['bus', 'leaf', '--config', file(keyPins)], '/nowhere');
  expect(exit).toBe(EXIT.usage);
  expect(out).toBe('');
  expect(err).toContain('keyPins');
});
