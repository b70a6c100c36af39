import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { eventually } from '@carnet/dev';
import { epoch, imageSealed, migrationId, PAYLOAD_TYPES, vmId } from '@carnet/events';
import { pullArtifact } from '@carnet/images';
import { connectNats } from '@carnet/journal';
import { leafSigner, readPem } from '@carnet/pki';
import { sha256Hex, signEnvelope } from '@carnet/trust';
import { describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { runsAt } from '../faults/harness/checks.ts';
import { busAddress } from '../faults/harness/clouds.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm } from '../faults/harness/moves.ts';
import { clouds, run, truthOf } from './rig.ts';

const pem = (domain: string, file: string): string => readFileSync(join(clouds.pki, domain, file), 'utf8');
const leafOf = (domain: string, name: string): Uint8Array =>
  readPem(pem(domain, `${name}.pem`), 'CERTIFICATE')[0] ?? new Uint8Array();
const endOf = (domain: string, name: string) => ({
  key: pem(domain, `${name}.key`),
  cert: pem(domain, `${name}.pem`),
  ca: readFileSync(join(clouds.pki, 'root.pem'), 'utf8'),
});

/** Somebody on the data plane who answers in the source's place. */
async function standIn(
  tls: TlsOptions,
  answer: (socket: TLSSocket) => void,
): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = createServer({ ...tls, minVersion: 'TLSv1.3', requestCert: true }, answer);
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return { port: address.port, close: () => server.close() };
}

/** What B's agent would do for the recorded run, had the stand-in been at the address that was agreed. */
async function pullFrom(port: number) {
  const [row] = await rowsOf<{ readonly envelope: Uint8Array }>(
    clouds.a.database,
    "select envelope from events where migration = $1 and type = 'ImageSealed'",
    [run.migration],
  );
  const { payload } = JSON.parse(Buffer.from(row?.envelope ?? '').toString('utf8'));
  const [sealed] = imageSealed.parse(JSON.parse(Buffer.from(payload, 'base64').toString('utf8')).data).artifacts;
  if (sealed === undefined) throw new Error('nothing was sealed');
  const into = join(clouds.root, `pulled-${port}`);
  const pulled = await pullArtifact({
    endpoint: { address: '127.0.0.1', port, serverName: `${HOST}.${CSP_A.domain}` },
    tls: endOf(CSP_B.domain, `agent-${HOST}`),
    verifyPeer: () => ({ ok: true }),
    pinnedLeaf: sha256Hex(leafOf(CSP_A.domain, `agent-${HOST}`)),
    migration: migrationId.parse(run.migration),
    expect: sealed,
    of: { vm: vmId.parse(run.vm.vm), epoch: epoch.parse(1), round: 0 },
    into,
    stallMs: 3_000,
  });
  expect(existsSync(into)).toBe(false);
  return pulled;
}

describe('Xensploit', () => {
  it('forged control messages: the host hears none that its own broker did not sign, and the VM runs on', async () => {
    const { a } = clouds;
    const vm = await createVm(a);
    const before = await truthOf(a);
    const bus = await connectNats(busAddress(clouds.pki, clouds.bus, CSP_A.domain, 'broker'));
    const deadline = new Date(Date.now() + 60_000).toISOString();
    const refusals = (): number => readFileSync(a.paths.agentLog, 'utf8').split('"COMMAND_UNTRUSTED"').length - 1;
    const heard = refusals();
    for (const [domain, name] of [
      [CSP_B.domain, 'broker'],
      [CSP_A.domain, 'operator'],
    ] as const) {
      const stop = { id: randomUUID(), host: HOST, deadline, step: 'stopVm', vm: vm.vm, body: { graceSeconds: 0 } };
      const signer = leafSigner(pem(domain, `${name}.key`), leafOf(domain, name));
      bus.publish(`host.${HOST}.command`, signEnvelope(PAYLOAD_TYPES.command, Buffer.from(JSON.stringify(stop)), signer));
    }
    await eventually('both refusals', () => (refusals() === heard + 2 ? true : undefined));
    await bus.close();
    expect(runsAt(clouds, vm)).toEqual([CSP_A.domain]);
    expect(await truthOf(a)).toEqual(before);
  });

  it.each<readonly [string, string, () => TlsOptions]>([
    ['with a certificate of the target’s own CSP', 'TLS_NOT_TRUSTED', () => endOf(CSP_B.domain, 'broker')],
    ['with another one of the source’s CSP', 'TLS_NOT_TRUSTED', () => endOf(CSP_A.domain, 'broker')],
  ])('a man in the middle of the data plane %s gets no word and gives none', async (_name, code, tls) => {
    let heard = 0;
    const middle = await standIn(tls(), (socket) => void socket.on('data', (bytes) => (heard += bytes.length)));
    expect(await pullFrom(middle.port)).toMatchObject({ ok: false, code });
    expect(heard).toBe(0);
    middle.close();
  });

  it.each<readonly [string, string, (socket: TLSSocket) => void]>([
    ['noise', 'FRAME_MALFORMED', (socket) => void socket.write(Buffer.alloc(4_096, 0xa5))],
    ['nothing at all', 'LINK_STALLED', () => undefined],
    ['an end', 'LINK_LOST', (socket) => void socket.end()],
  ])('a hostile stream to the receiver under the pinned key itself, %s: refused, and no file appears', async (_name, code, answer) => {
    const hostile = await standIn(endOf(CSP_A.domain, `agent-${HOST}`), (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => answer(socket));
    });
    expect(await pullFrom(hostile.port)).toMatchObject({ ok: false, code });
    hostile.close();
  });
});
