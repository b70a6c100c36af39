import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { spiffeId } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { type Authority, createCrl, freshRsaKeys, issueLeaf, privateKeyPem, type RsaKeyPair, writePem } from '@carnet/pki';
import { connectBroker } from '@carnet/publisher';
import { beforeAll, describe, expect, it } from 'vitest';
import { BUS_SERVER_NAME, CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { runsAt } from '../faults/harness/checks.ts';
import { busAddress } from '../faults/harness/clouds.ts';
import { eventAppears, ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';
import { clouds } from './rig.ts';

let vm: Vm;
let keys: RsaKeyPair;

beforeAll(async () => {
  vm = await createVm(clouds.a);
  keys = await freshRsaKeys();
});

const everything = async (): Promise<unknown> => ({
  a: await ledgerRows(clouds.a.database),
  vms: await rowsOf(clouds.a.database, 'select vm, host, epoch from broker_vms order by vm'),
  runs: runsAt(clouds, vm),
});
const ofB = (): Authority => {
  const member = clouds.federation.members.get(CSP_B.domain);
  if (member === undefined) throw new Error('no B');
  return member.authority;
};

/** A leaf in A's name that B's certificate authority issued: ours refuses to, so it is told that the domain is its own. */
function forged(path: string, dnsNames: readonly string[] = []) {
  const nowMs = Date.now();
  const leaf = issueLeaf(
    { ...ofB(), domain: CSP_A.domain },
    {
      notBeforeMs: nowMs - 60_000,
      notAfterMs: nowMs + 3_600_000,
      profile: 'agent',
      spiffeId: spiffeId.parse(`spiffe://${CSP_A.domain}/${path}`),
      dnsNames,
      publicKey: keys.publicKey,
      random: randomBytes,
    },
  );
  return { certificatePem: leaf.pem, keyPem: privateKeyPem(keys.privateKey) };
}

/** Asks A's broker for its VMs under a certificate. */
async function atTheDoor(certificate: string, key: string): Promise<string> {
  const api = connectBroker({
    url: `https://127.0.0.1:${clouds.a.facts.ports.http}`,
    serverName: `broker.${CSP_A.domain}`,
    ca: readFileSync(join(clouds.a.paths.pki, 'root.pem')),
    credentials: { kind: 'certificate', certificate, key },
  });
  const answer = await api.get('/v1/vms');
  api.close();
  return answer.ok ? 'ok' : answer.code;
}

describe('a member’s certificate authority that issues for another', () => {
  it.each(['operator', 'broker', `agent/${HOST}`])('spiffe://csp-a.example/%s opens no door of A', async (path) => {
    const before = await everything();
    const { certificatePem, keyPem } = forged(path);
    expect(await atTheDoor(certificatePem, keyPem)).toBe('UNREACHABLE');
    expect(await everything()).toEqual(before);
  });

  it('nor does it with A’s own intermediate put under it: pools do not merge into a path', async () => {
    const { certificatePem, keyPem } = forged('operator');
    const own = clouds.federation.members.get(CSP_A.domain)?.authority.certificate ?? new Uint8Array();
    expect(await atTheDoor(certificatePem + writePem('CERTIFICATE', own), keyPem)).toBe('UNREACHABLE');
  });

  it.each([['broker'], [`agent/${HOST}`]])('nor is it %s of A on the bus', async (path) => {
    const { certificatePem: cert, keyPem: key } = forged(path);
    const { ca } = busAddress(clouds.pki, clouds.bus, CSP_A.domain, 'broker').tls;
    const address = { servers: [clouds.bus.url], serverName: BUS_SERVER_NAME, name: 'forged', tls: { cert, key, ca } };
    const joined = connectNats(address).then(
      (connection) => connection.close().then(() => 'joined'),
      () => 'refused',
    );
    // The client goes on trying: a member would be in at once.
    const patience = new Promise<string>((resolve) => setTimeout(() => resolve('refused'), 3_000));
    expect(await Promise.race([joined, patience])).toBe('refused');
  });
});

describe('a stale revocation list of the peer', () => {
  // Numbers never go back, not for a second try either.
  let number = 1;
  const publish = (nextUpdateMs: number): void => {
    number += 1;
    const list = createCrl(ofB(), { number, thisUpdateMs: Date.now() - 60_000, nextUpdateMs, revoked: [] });
    const { crls } = clouds.a.paths;
    writeFileSync(join(crls, 'b.new'), list);
    renameSync(join(crls, 'b.new'), join(crls, `${CSP_B.domain}.der`));
  };
  const certificateOfB = async (): Promise<string | undefined> => {
    const peers = await clouds.a.api.get<{ readonly items: readonly { readonly certificate?: string }[] }>('/v1/peers');
    return peers.ok ? peers.value.items[0]?.certificate : undefined;
  };

  it('stops every move to it before a key is released; a fresh one lets the next through, without a restart', async () => {
    const { a, b } = clouds;
    await settled(clouds, await intend(a, b, await createVm(a), 'cold'), 60_000);
    publish(Date.now() - 1_000);
    await eventually('the alarm for people', async () => ((await certificateOfB()) === 'CRL_STALE' ? true : undefined), 10_000);
    const stopped = await intend(a, b, vm, 'cold');
    await eventAppears(a.database, stopped, 'MigrationWithdrawn', 30_000);
    const rows = (await ledgerRows(a.database)).filter(({ migration }) => migration === stopped).map(({ type }) => type);
    for (const type of ['KeyDeposited', 'KeyReleased']) expect(rows).not.toContain(type);
    expect(runsAt(clouds, vm)).toEqual([CSP_A.domain]);
    publish(Date.now() + 3_600_000);
    await eventually('a good certificate', async () => ((await certificateOfB()) === 'good' ? true : undefined), 10_000);
    await settled(clouds, stopped, 60_000);
    await settled(clouds, await intend(a, b, vm, 'cold'), 60_000);
    expect(runsAt(clouds, vm)).toEqual([CSP_B.domain]);
  });
});
