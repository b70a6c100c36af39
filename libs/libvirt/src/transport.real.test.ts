import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, type Host, runAs, scratch } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Connection, connect, LibvirtError, type Transport } from './index.ts';
import { CALLS_IN_FLIGHT_MAX } from './limits.ts';
import { makeAuthority, makeIdentity, type TestIdentity } from './testing/certificates.ts';
import { reach, startQemuHost, tinyGuestXml } from './testing/qemu-host.ts';

/** Fast enough for a test, slow enough for a busy machine. */
const KEEPALIVE = { intervalMs: 100, count: 3 } as const;

let host: Host;
let port: number;
let [admitted, unlisted, foreign]: TestIdentity[] = [];

beforeAll(async () => {
  const dir = scratch('lvtls');
  const [ours, theirs] = [makeAuthority(join(dir, 'ours'), 'ours'), makeAuthority(join(dir, 'theirs'), 'theirs')];
  const server = makeIdentity(ours, 'server', runAs());
  [admitted, unlisted] = [makeIdentity(ours, 'admitted', runAs()), makeIdentity(ours, 'unlisted', runAs())];
  foreign = makeIdentity(theirs, 'admitted', runAs());
  port = await freePort();
  const [caFile, certFile, keyFile] = ['cacert.pem', 'servercert.pem', 'serverkey.pem'].map((name) => join(server.dir, name));
  const allowedNames = ['O=test,CN=admitted', 'CN=admitted,O=test'];
  host = await startQemuHost('transport', {
    tls: { port, caFile: caFile ?? '', certFile: certFile ?? '', keyFile: keyFile ?? '', allowedNames },
  });
});

afterAll(() => host.stop());

describe('TLS', () => {
  it('reaches the daemon with both certificates checked', async () => {
    await using conn = await connect({ transport: tls(admitted), uri: 'qemu:///session' });
    const domain = await conn.domains.define(tinyGuestXml('over-tls'));
    expect(host.virsh('list', '--all', '--name').trim()).toBe('over-tls');
    await conn.domains.undefine(domain);
  });

  it('tells a refusal by the daemon from a daemon that is not ours', async () => {
    const attempt = (transport: Transport): Promise<Connection> => connect({ transport, uri: 'qemu:///session' });
    await expect(attempt(tls(unlisted))).rejects.toMatchObject({ code: 'PEER_REFUSED' });
    const trustingUs = { ...tls(foreign), ca: admitted?.ca ?? '' };
    await expect(attempt(trustingUs)).rejects.toMatchObject({ code: 'PEER_REFUSED' });
    await expect(attempt(tls(foreign))).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    await expect(attempt({ ...tls(admitted), serverName: 'elsewhere.example' })).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
    });
  });
});

describe('a daemon that', () => {
  it('is not there is an error, at once', async () => {
    const nowhere = { kind: 'unix', path: join(host.dirs.run, 'no-socket') } as const;
    await expect(connect({ transport: nowhere, uri: 'qemu:///session' })).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  });

  it('is stopped is found dead by keepalive', async () => {
    const conn = await reach(host, { keepalive: KEEPALIVE });
    await host.kill('SIGSTOP');
    await expect(conn.domains.list()).rejects.toMatchObject({ code: 'KEEPALIVE_TIMEOUT', effect: 'unknown' });
    expect((await conn.ended).code).toBe('KEEPALIVE_TIMEOUT');
    await host.kill('SIGCONT');
  });

  it('is idle stays connected', async () => {
    // More than a second of patience for a busy machine, and a wait that outlasts it.
    await using conn = await reach(host, { keepalive: { intervalMs: 100, count: 12 } });
    await sleep(2_000);
    expect(await conn.domains.list()).toEqual([]);
  });

  it('answers too late costs one call, not the connection', async () => {
    const conn = await reach(host);
    await host.kill('SIGSTOP');
    const controller = new AbortController();
    const [late, aborted] = [conn.domains.list({ timeoutMs: 50 }), conn.domains.list({ signal: controller.signal })];
    setTimeout(() => controller.abort(), 20);
    const outcomes = await Promise.allSettled([late, aborted]);
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'CALL_TIMEOUT', effect: 'unknown' } },
      { status: 'rejected', reason: { code: 'CALL_ABORTED', effect: 'unknown' } },
    ]);
    await host.kill('SIGCONT');
    expect(await conn.domains.list()).toEqual([]);
    await conn.close();
  });

  it('is killed rejects every call, sent or waiting, and the next; a new connection works', async () => {
    const conn = await reach(host);
    await host.kill('SIGSTOP');
    const calls = Array.from({ length: 10 }, () => conn.domains.list());
    const settled = Promise.allSettled(calls);
    await host.kill('SIGKILL');
    const outcomes = await settled;
    const errors = outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : undefined));
    expect(errors.every((error) => error instanceof LibvirtError && error.code === 'CONNECTION_LOST')).toBe(true);
    const effects = errors.map((error) => (error instanceof LibvirtError ? error.effect : undefined));
    expect(effects).toEqual(calls.map((_, index) => (index < CALLS_IN_FLIGHT_MAX ? 'unknown' : 'none')));
    await expect(conn.domains.list()).rejects.toMatchObject({ code: 'CONNECTION_LOST', effect: 'none' });
    expect((await conn.ended).code).toBe('CONNECTION_LOST');
    await conn.close();

    await host.restart();
    await using again = await reach(host);
    expect(await again.domains.list()).toEqual([]);
  });
});

function tls(identity: TestIdentity | undefined): Extract<Transport, { kind: 'tls' }> {
  if (identity === undefined) throw new Error('the certificates are made before the tests');
  return { kind: 'tls', host: '127.0.0.1', port, ca: identity.ca, cert: identity.cert, key: identity.key };
}
