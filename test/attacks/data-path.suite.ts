import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { artifactId, epoch, imageSealed, migrationId, offerAgreed, vmId } from '@carnet/events';
import { type PullRequest, pullArtifact } from '@carnet/images';
import { readPem } from '@carnet/pki';
import { sha256Hex } from '@carnet/trust';
import { beforeAll, describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { runsAt } from '../faults/harness/checks.ts';
import { eventAppears, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, newMigration, settled, type Vm } from '../faults/harness/moves.ts';
import { TLS_1_2 } from './old-tls.ts';
import { clouds, truthOfA } from './rig.ts';
import { payloadOf } from './rogue-peer.ts';

let vm: Vm;
let migration: string;
/** What B's agent would ask for, were it there. */
let genuine: PullRequest;

const leafOf = (domain: string, name: string): Uint8Array =>
  readPem(readFileSync(join(clouds.pki, domain, `${name}.pem`), 'utf8'), 'CERTIFICATE')[0] ?? new Uint8Array();
const tlsOf = (domain: string, name: string): PullRequest['tls'] => {
  const read = (file: string): string => readFileSync(join(clouds.pki, file), 'utf8');
  return { key: read(`${domain}/${name}.key`), cert: read(`${domain}/${name}.pem`), ca: read('root.pem') };
};
async function saidByA(type: string): Promise<unknown> {
  const [row] = await rowsOf<{ readonly envelope: Uint8Array }>(
    clouds.a.database,
    'select envelope from events where migration = $1 and type = $2',
    [migration, type],
  );
  return payloadOf(row?.envelope ?? new Uint8Array())['data'];
}

/** A serves, and B’s agent, for which it does, is away. */
async function whileServed(): Promise<void> {
  const { a, b } = clouds;
  vm = await createVm(a);
  migration = await intend(a, b, vm, 'cold');
  await eventAppears(a.database, migration, 'TargetReady', 30_000);
  await b.agent.kill('SIGKILL');
  await eventAppears(a.database, migration, 'ImageSealed', 30_000);
  const { dataPath } = offerAgreed.parse(await saidByA('OfferAgreed'));
  const [sealed] = imageSealed.parse(await saidByA('ImageSealed')).artifacts;
  if (sealed === undefined) throw new Error('nothing was sealed');
  genuine = {
    endpoint: dataPath,
    tls: tlsOf(CSP_B.domain, `agent-${HOST}`),
    verifyPeer: () => ({ ok: true }),
    pinnedLeaf: sha256Hex(leafOf(CSP_A.domain, `agent-${HOST}`)),
    migration: migrationId.parse(migration),
    expect: sealed,
    of: { vm: vmId.parse(vm.vm), epoch: epoch.parse(1), round: 0 },
    into: join(clouds.root, 'stolen.qcow2'),
    stallMs: 3_000,
  };
}

describe('whoever asks a source for an image, valid but for one thing', () => {
  beforeAll(whileServed);

  it.each<readonly [string, string, () => PullRequest]>([
    ['with B’s broker’s certificate', 'NOT_GRANTED', () => ({ ...genuine, tls: tlsOf(CSP_B.domain, 'broker') })],
    ['with its own CSP’s operator’s', 'NOT_GRANTED', () => ({ ...genuine, tls: tlsOf(CSP_A.domain, 'operator') })],
    ['for another migration', 'NOT_GRANTED', () => ({ ...genuine, migration: migrationId.parse(newMigration()) })],
    [
      'for another artifact',
      'NOT_GRANTED',
      () => {
        const expect = { ...genuine.expect, artifact: artifactId.parse(randomUUID()) };
        return { ...genuine, expect };
      },
    ],
    [
      'with an older root',
      'NOT_GRANTED',
      () => ({ ...genuine, expect: { ...genuine.expect, root: sha256Hex(Buffer.from('old')) } }),
    ],
    ['in another epoch', 'ROOT_MISMATCH', () => ({ ...genuine, of: { ...genuine.of, epoch: epoch.parse(2) } })],
    [
      'and meets another than the pinned agent',
      'PEER_NOT_PINNED',
      () => ({ ...genuine, pinnedLeaf: sha256Hex(leafOf(CSP_A.domain, 'broker')) }),
    ],
    [
      'and trusts nobody who vouches for it',
      'TLS_NOT_TRUSTED',
      () => ({ ...genuine, verifyPeer: () => ({ ok: false, code: 'REVOKED' }) }),
    ],
  ])('%s: %s', async (_name, code, request) => {
    const before = await truthOfA();
    expect(await pullArtifact(request())).toMatchObject({ ok: false, code });
    expect(existsSync(genuine.into)).toBe(false);
    expect(await truthOfA()).toEqual(before);
  });

  it.each<readonly [string, object]>([
    ['without a certificate', { key: undefined, cert: undefined }],
    ['over TLS 1.2', TLS_1_2],
    ['with a suite that is not ours', { ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }],
  ])('%s: not one byte is sent', async (_name, over) => {
    const { address: host, port, serverName } = genuine.endpoint;
    const heard = await new Promise<number>((resolve) => {
      const socket = connect({ ...genuine.tls, host, port, servername: serverName, ...over });
      let bytes = 0;
      socket.on('data', (some: Buffer) => (bytes += some.length));
      socket.on('error', () => resolve(bytes));
      socket.on('close', () => resolve(bytes));
    });
    expect(heard).toBe(0);
  });

  it('and the agent for which it is served gets it, when it is back: the VM moves', async () => {
    await clouds.b.agent.restart();
    expect(await settled(clouds, migration, 90_000)).toMatchObject({ outcome: 'done' });
    expect(runsAt(clouds, vm)).toEqual([CSP_B.domain]);
  });
});
