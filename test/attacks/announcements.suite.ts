import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { timestamp } from '@carnet/events';
import { leafSigner, readPem } from '@carnet/pki';
import { ed25519Signer, keyAnnouncementBytes } from '@carnet/trust';
import { beforeAll, describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, HOST } from '../../infra/dev/src/clouds/layout.ts';
import { clouds, saysOnce, truthOfA } from './rig.ts';
import type { Shot } from './rogue-peer.ts';
import { rogue, turnRogue } from './rogue-rig.ts';

const pem = (who: string, kind: string): string => readFileSync(join(clouds.pki, CSP_B.domain, `${who}.${kind}`), 'utf8');

/** A new event key of B, announced under the chain of one leaf and the signature of another. */
async function announced(over: {
  readonly chainOf?: string;
  readonly signedBy?: string;
  readonly aheadMs?: number;
}): Promise<Shot> {
  const { chainOf = 'broker', signedBy = chainOf, aheadMs = 0 } = over;
  const fresh = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const time = timestamp.parse(new Date(Date.now() + aheadMs).toISOString());
  const chain = readPem(pem(chainOf, 'pem'), 'CERTIFICATE');
  const said = {
    keyid: fresh.keyid,
    algorithm: 'Ed25519' as const,
    publicKey: Buffer.from(fresh.publicKey).toString('base64'),
    notBefore: time,
    chain: chain.map((der) => Buffer.from(der).toString('base64')),
  };
  const leaf = readPem(pem(signedBy, 'pem'), 'CERTIFICATE')[0] ?? new Uint8Array();
  const statement = keyAnnouncementBytes(CSP_B.domain, CSP_A.domain, said);
  const signature = Buffer.from(leafSigner(pem(signedBy, 'key'), leaf).sign(statement)).toString('base64');
  const payload = await rogue.next({ type: 'KeyAnnounced', causes: [], time, data: { ...said, signature } });
  return rogue.sign(payload, { signer: fresh });
}

describe('an event key that is introduced', () => {
  beforeAll(turnRogue);

  it.each([
    ['by a host of the CSP, which is not its broker', 'CERTIFICATE_PATH_REFUSED', { chainOf: `agent-${HOST}` }],
    ['by an operator of the CSP', 'CERTIFICATE_PATH_REFUSED', { chainOf: 'operator' }],
    ['under the broker’s chain, by another’s signature', 'KEY_STATEMENT_FORGED', { signedBy: 'operator' }],
    ['tomorrow', 'KEY_ANNOUNCED_AHEAD', { aheadMs: 86_400_000 }],
  ])('%s: %s', async (_name, code, over) => {
    const before = await truthOfA();
    await saysOnce('brokerLog', `"code":"${code}"`, async () => rogue.fire(await announced(over)));
    expect(await truthOfA()).toEqual(before);
  });
});
