import { spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { ed25519Signer, type Signer } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CSP_A, CSP_B } from '../../infra/dev/src/clouds/layout.ts';
import { ledgersAgree } from '../faults/harness/checks.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, must, settled, type Vm } from '../faults/harness/moves.ts';
import { becomeRogue, digestOf, type Rogue } from './rogue-peer.ts';

let clouds: Clouds;
let rogue: Rogue | undefined;
let old: Signer;
let second: Vm;

/** B's operator is its administrator too: ending a key takes one. */
const policy = (text: string): string =>
  text.replaceAll(
    /\{\s*"type": "Role",\s*"id": "operator"\s*\}/g,
    (role) => `${role}, ${role.replace('operator', 'administrator')}`,
  );

beforeAll(async () => {
  clouds = await startClouds({ policy });
  const { a, b } = clouds;
  const first = await createVm(a);
  second = await createVm(a);
  await settled(clouds, await intend(a, b, first, 'cold'), 60_000);
  await ledgersAgree(clouds);
  old = ed25519Signer(createPrivateKey(readFileSync(b.paths.eventKey)));
});
afterAll(async () => {
  await rogue?.close();
  await clouds?.stop();
});

const typesFromB = async (): Promise<readonly string[]> =>
  (await ledgerRows(clouds.a.database)).filter(({ publisher }) => publisher === CSP_B.domain).map(({ type }) => type);
const count = (types: readonly string[], wanted: string): number => types.filter((type) => type === wanted).length;
const said = (code: string): number => readFileSync(clouds.a.paths.brokerLog, 'utf8').split(`"code":"${code}"`).length - 1;
const everything = async (): Promise<unknown> => ({
  events: await ledgerRows(clouds.a.database),
  ledgers: await rowsOf(
    clouds.a.database,
    'select publisher, audience, head_seq, head_digest, frozen from ledgers order by 1, 2',
  ),
});
const rotate = (file: string): string => {
  const carnet = join(import.meta.dirname, '../../apps/carnet/src/main.ts');
  const ran = spawnSync(process.execPath, [carnet, 'cert', 'rotate-event-key', '--file', file, '-f', 'json'], {
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout).keyid;
};

describe('a broker’s event key, changed while it runs', () => {
  it('is announced within seconds, by both replicas once, and both go on', async () => {
    const { a, b } = clouds;
    const replica = await b.startReplica();
    rotate(b.paths.eventKey);
    await eventually(
      'the announcement at A',
      async () => (count(await typesFromB(), 'KeyAnnounced') === 2 ? true : undefined),
      20_000,
    );
    await b.broker.restart();
    await settled(clouds, await intend(a, b, second, 'cold'), 60_000);
    await ledgersAgree(clouds);
    expect(count(await typesFromB(), 'KeyAnnounced')).toBe(2);
    expect(must(await replica.api.get<{ readonly items: readonly unknown[] }>('/v1/peers')).items).toHaveLength(1);
    await replica.broker.stop();
  });

  it('the one that signs cannot be ended; the old one is, and A learns it', async () => {
    const { b } = clouds;
    const now = ed25519Signer(createPrivateKey(readFileSync(b.paths.eventKey)));
    const head = (await ledgerRows(clouds.a.database)).findLast(({ publisher }) => publisher === CSP_B.domain);
    const end = (key: Signer) =>
      b.api.post(`/v1/peers/${CSP_A.domain}/event-keys/${key.keyid}/end`, {
        lastSeq: String(head?.seq ?? 0),
        text: 'a test says so',
      });
    const before = await everything();
    expect(await end(now)).toMatchObject({ ok: false, code: 'KEY_IN_USE' });
    expect(await everything()).toEqual(before);
    must(await end(old));
    await eventually('the end at A', async () => (count(await typesFromB(), 'KeyRevoked') === 1 ? true : undefined), 20_000);
    expect(await end(old)).toMatchObject({ ok: false, code: 'KEY_ENDED' });
  });

  it('whoever still holds the old one is refused, and nothing changes; the new one goes on', async () => {
    const { a, b } = clouds;
    await ledgersAgree(clouds);
    rogue = await becomeRogue(clouds, b, a);
    const before = await everything();
    const refusals = said('KEY_ENDED');
    await rogue.fire(rogue.sign(await rogue.intended(), { signer: old }));
    await eventually('the refusal', () => (said('KEY_ENDED') > refusals ? true : undefined), 10_000);
    expect(await everything()).toEqual(before);
    const shot = rogue.sign(await rogue.intended());
    await rogue.fire(shot);
    await eventually(
      'the event of the new key',
      async () => ((await ledgerRows(a.database)).some(({ digest }) => digest === digestOf(shot)) ? true : undefined),
      10_000,
    );
  });
});
