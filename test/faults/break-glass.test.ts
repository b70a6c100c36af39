import { generateKeyPairSync } from 'node:crypto';
import { eventually } from '@carnet/dev';
import { ed25519Signer } from '@carnet/trust';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { personAt } from '../attacks/people.ts';
import { consentTo, type Row, rowOf, startBreakable, wordsAbout } from './harness/broken-glass.ts';
import { ledgersAgree, neverBoth, runsAt, tracesOf } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import type { Clouds } from './harness/clouds.ts';
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
  clouds = await startBreakable(DEADLINE_SECONDS);
  ({ a, b } = clouds);
});
afterAll(async () => {
  await clouds?.stop();
});

it('a release without an answer: people take the VM back, the target stands down when it is back, and the VM runs once', async () => {
  const owner = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const [anna, bob] = [await personAt(clouds, a, 'operator/anna'), await personAt(clouds, a, 'operator/bob')];
  const vm = await createVm(a);
  must(await a.api.act('POST', `/v1/vms/${vm.vm}/restrictions`, { owner: Buffer.from(owner.publicKey).toString('base64') }));
  const watch = watchEvents(a.database);
  const migration = newMigration();
  const consent = await consentTo(clouds, vm.vm, owner);
  must(await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold', migration, { consent })));
  await watch.appears(migration, 'ImageVerified', SOON_MS);
  await b.broker.kill('SIGKILL');
  await watch.appears(migration, 'KeyReleased', SOON_MS);
  const words = await wordsAbout(clouds, migration, owner);
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
      const { phase, targetPhase } = must(await b.api.get<Row>(`/v1/migrations/${migration}`));
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
