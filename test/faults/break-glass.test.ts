import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { type BreakGlassStatement, PAYLOAD_TYPES, vmSpec } from '@carnet/events';
import { leafSigner, readPem } from '@carnet/pki';
import { imageOf } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import { ed25519Signer, type Signer, signEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { personAt, withPeople } from '../attacks/people.ts';
import { ledgersAgree, neverBoth, runsAt, tracesOf } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { watchEvents } from './harness/event-watch.ts';
import { createVm, intentOf, must, newMigration, settled } from './harness/moves.ts';

const DEADLINE_SECONDS = 30;
const SOON_MS = 60_000;
/** The deadline, and half a minute for an answer that is on its way. */
const BROKEN_MS_MAX = 120_000;
const END_MS_MAX = 60_000;

let clouds: Clouds;
let a: Cloud;
let b: Cloud;

beforeAll(async () => {
  clouds = await startClouds({
    policy: withPeople,
    broker: (text) => text.replace(/deadlineSeconds = \d+/, `deadlineSeconds = ${DEADLINE_SECONDS}`),
  });
  ({ a, b } = clouds);
});
afterAll(async () => {
  await clouds?.stop();
});

type Row = { readonly vm: string; readonly epoch: number; readonly target: string; readonly phase: string };
const rowOf = async (at: Cloud, migration: string) => must(await at.api.get<Row>(`/v1/migrations/${migration}`));

const signedBy = (signer: Signer, payloadType: string, said: object): unknown =>
  JSON.parse(Buffer.from(signEnvelope(payloadType, Buffer.from(JSON.stringify(said)), signer)).toString('utf8'));

/** Without it a VM that has an owner goes nowhere. */
async function consentTo(vm: string, owner: Signer): Promise<unknown> {
  const { items } = must(
    await a.api.get<{ readonly items: readonly { readonly vm: string; readonly spec: unknown }[] }>('/v1/vms'),
  );
  const spec = vmSpec.parse(items.find((one) => one.vm === vm)?.spec);
  const [notBefore, notAfter] = [-60_000, 3_600_000].map((ms) => new Date(Date.now() + ms).toISOString());
  const of = { vm, image: imageOf(spec, policyCrypto.hash), source: a.plan.domain, target: b.plan.domain, modes: ['cold'] };
  return signedBy(owner, PAYLOAD_TYPES.consent, { consents: 'migration', serial: '1', ...of, notBefore, notAfter });
}

async function wordsAbout(migration: string, owner: Signer) {
  const { vm, epoch, target } = await rowOf(a, migration);
  type Entries = { readonly items: readonly { readonly type: string; readonly digest: string }[] };
  const { items } = must(await a.api.get<Entries>(`/v1/events?migration=${migration}`));
  const release = items.find(({ type }) => type === 'KeyReleased')?.digest;
  const envelope = (says: BreakGlassStatement['says'], signer: Signer): unknown => {
    const [at, notAfter] = [new Date(), new Date(Date.now() + 3_600_000)].map((date) => date.toISOString());
    const said = { says, migration, vm, epoch, target, release, reason: 'its data centre burnt down', at, notAfter };
    return signedBy(signer, PAYLOAD_TYPES.breakGlass, said);
  };
  const person = (name: string) => {
    const file = (ending: string): string => readFileSync(join(a.paths.pki, `operator-${name}.${ending}`), 'utf8');
    const leaf = readPem(file('pem'), 'CERTIFICATE')[0];
    if (leaf === undefined) throw new Error('no leaf');
    return {
      principal: `spiffe://${a.plan.domain}/operator/${name}`,
      envelope: envelope('resume-at-source', leafSigner(file('key'), leaf)),
      certificate: Buffer.from(leaf).toString('base64'),
    };
  };
  return { persons: [person('anna'), person('bob')], owner: envelope('target-is-fenced', owner) };
}

it('a release without an answer: people take the VM back, the target stands down when it is back, and the VM runs once', async () => {
  const owner = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const [anna, bob] = [await personAt(clouds, a, 'operator/anna'), await personAt(clouds, a, 'operator/bob')];
  const vm = await createVm(a);
  must(await a.api.act('POST', `/v1/vms/${vm.vm}/restrictions`, { owner: Buffer.from(owner.publicKey).toString('base64') }));
  const watch = watchEvents(a.database);
  const migration = newMigration();
  const consent = await consentTo(vm.vm, owner);
  must(await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold', migration, { consent })));
  await watch.appears(migration, 'ImageVerified', SOON_MS);
  await b.broker.kill('SIGKILL');
  await watch.appears(migration, 'KeyReleased', SOON_MS);
  const words = await wordsAbout(migration, owner);
  const path = `/v1/migrations/${migration}/break-glass`;
  expect(await anna.act('POST', path, words)).toMatchObject({ ok: false, code: 'TOO_EARLY' });
  const [one] = words.persons;
  expect(await anna.act('POST', path, { ...words, persons: [one, one] })).toMatchObject({
    ok: false,
    code: 'BREAK_GLASS_ONE_PERSON',
  });
  expect(runsAt(clouds, vm)).toEqual([]);

  await eventually(
    'the glass to be broken',
    async () => ((await bob.act('POST', path, words)).ok ? true : undefined),
    BROKEN_MS_MAX,
  );
  await eventually('the VM to run at its source', () => (runsAt(clouds, vm).includes(a.plan.domain) ? true : undefined), SOON_MS);
  expect((await rowOf(a, migration)).phase).toBe('split-suspected');
  const alarms = must(await a.api.get<{ readonly items: readonly { readonly code: string }[] }>('/v1/alarms')).items;
  expect(alarms.map(({ code }) => code)).toEqual(['SPLIT_SUSPECTED']);

  await b.broker.restart();
  // Both events of the source came together or one after the other: what the target had not run it gives back, what it had it keeps.
  const done = await eventually(
    'the target to have stood down',
    async () => {
      const { phase, targetPhase } = must(await b.api.get<Row & { readonly targetPhase: string }>(`/v1/migrations/${migration}`));
      return phase !== 'split-suspected' || targetPhase === 'fenced' ? targetPhase : undefined;
    },
    SOON_MS,
  );
  if (done === 'fenced') must(await b.api.act('POST', `/v1/migrations/${migration}/discard-copy`, { text: 'nobody needs it' }));
  expect((await settled(clouds, migration, END_MS_MAX)).outcome).toBe('rolled-back');
  await watch.close();
  expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
  expect(await tracesOf(b, vm)).toEqual([]);
  await ledgersAgree(clouds);
  if (done !== 'fenced') neverBoth(clouds, vm);
  for (const client of [anna, bob]) client.close();
}, 400_000);
