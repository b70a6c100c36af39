import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { hostName } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { chooseHost } from '../../apps/broker/src/hosts/choose-host.ts';
import { HOST } from '../../infra/dev/src/clouds/layout.ts';
import { TLS_1_1, TLS_1_2 } from '../attacks/old-tls.ts';
import { MEMORY_MIB } from '../faults/harness/moves.ts';
import { clouds } from './rig.ts';

const pki = (name: string): string => readFileSync(join(clouds.a.paths.pki, name), 'utf8');
const asOperator = (): ConnectionOptions => ({
  host: '127.0.0.1',
  port: clouds.a.facts.ports.http,
  servername: 'broker.csp-a.example',
  ca: pki('root.pem'),
  cert: pki('operator.pem'),
  key: pki('operator.key'),
});

/** What a dialler learns: the session's suite, or that there is none. A server that wants a certificate says so after the handshake. */
const session = (over: ConnectionOptions): Promise<string> =>
  new Promise((resolve) => {
    const socket: TLSSocket = connect({ ...asOperator(), ...over }, () => {
      socket.write('GET /v1/vms HTTP/1.1\r\nhost: broker\r\n\r\n');
      socket.once('data', () => {
        resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
        socket.destroy();
      });
    });
    socket.on('error', () => resolve('refused'));
    socket.on('close', () => resolve('refused'));
  });

describe('RSA and SSL with load balancing', () => {
  it('both ends show RSA certificates of 3,072 bits, and speak TLS 1.3', async () => {
    for (const name of ['broker', 'operator', `agent-${HOST}`]) {
      const { publicKey } = new X509Certificate(pki(`${name}.pem`));
      expect([publicKey.asymmetricKeyType, publicKey.asymmetricKeyDetails?.modulusLength]).toEqual(['rsa', 3_072]);
    }
    expect(await session({})).toMatch(/^TLSv1\.3 TLS_AES_/);
  });

  it.each<readonly [string, ConnectionOptions]>([
    ['without a certificate', { cert: undefined, key: undefined }],
    ['TLS 1.2', TLS_1_2],
    ['TLS 1.2 and RSA key transport', { ...TLS_1_2, ciphers: 'AES128-SHA' }],
    ['TLS 1.1', TLS_1_1],
    ['suites without forward secrecy or encryption', { ...TLS_1_2, ciphers: 'NULL-SHA256:AES256-SHA@SECLEVEL=0' }],
  ])('%s is refused', async (_name, weak) => expect(await session(weak)).toBe('refused'));

  it('the less loaded of the admissible hosts is taken, and every other one has its reason', () => {
    const host = (name: string, memoryMiBFree: number, over: object = {}) => ({
      host: hostName.parse(name),
      isUp: true,
      level: 1,
      memoryMiBFree,
      ...over,
    });
    const hosts = [
      host('hv1', 2_048),
      host('hv2', 8_192),
      host('hv3', 16_384, { level: 0 }),
      host('hv4', 16_384, { isUp: false }),
    ];
    expect(chooseHost(hosts, { level: 1, memoryMiB: 1_024 })).toMatchObject({
      host: 'hv2',
      passedOver: [
        { host: 'hv1', because: 'more loaded' },
        { host: 'hv3', because: 'level too low' },
        { host: 'hv4', because: 'down' },
      ],
    });
  });

  it('B’s broker logged whom it chose for the VM that came, for how much, and by what load', () => {
    const chosen = readFileSync(clouds.b.paths.brokerLog, 'utf8')
      .split('\n')
      .flatMap((line) => (line.includes('"host chosen"') ? [JSON.parse(line)] : []));
    expect(chosen).toContainEqual(
      expect.objectContaining({
        host: HOST,
        wanted: { level: 0, memoryMiB: MEMORY_MIB },
        memoryMiBFree: expect.any(Number),
        passedOver: [],
      }),
    );
  });
});
