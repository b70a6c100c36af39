import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { ed25519Signer } from '@carnet/trust';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { personAt } from '../attacks/people.ts';
import { consentTo, rowOf, startBreakable, wordsAbout } from './harness/broken-glass.ts';
import { ledgersAgree, runsAt, tracesOf } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import type { Clouds } from './harness/clouds.ts';
import { watchEvents } from './harness/event-watch.ts';
import { createVm, intentOf, must, newMigration, settled, type Vm } from './harness/moves.ts';

const DEADLINE_SECONDS = 40;
const SOON_MS = 60_000;
/** The deadline, and half a minute for an answer that is on its way. */
const BROKEN_MS_MAX = 150_000;

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

/** A bus that lets B hear, and takes nothing from B: its ledger and its talk to A are no subjects of its any more. */
const mute = (text: string): string =>
  text.replace(/.*user: "spiffe:\/\/csp-b\.example\/broker".*/, (line) =>
    line.replace('"fed.csp-b_example.csp-a_example.>", ', '').replace('"peer.csp-b_example.csp-a_example", ', ''),
  );
/** One that knows no user of B. */
const deaf = (text: string): string => text.replace(/.*user: "spiffe:\/\/csp-b\.example\/(broker|agent|server).*\n/g, '');

type Doctor = {
  readonly standing: string;
  readonly findings: readonly { readonly code: string; readonly text: string }[];
};
const doctorAt = async (at: Cloud, migration: string): Promise<Doctor> =>
  must(await at.api.get<Doctor>(`/v1/migrations/${migration}/diagnosis`));
const alarmsAt = async (at: Cloud): Promise<readonly string[]> =>
  must(await at.api.get<{ readonly items: readonly { readonly code: string }[] }>('/v1/alarms')).items.map(({ code }) => code);

/** The VM runs at its target, which says so to a bus that withholds it: A has released, and hears nothing more. */
async function runUnheard(vm: Vm, migration: string, consent: unknown): Promise<string> {
  const whole = readFileSync(join(clouds.root, 'bus', 'nats.conf'), 'utf8');
  const [atA, atB] = [watchEvents(a.database), watchEvents(b.database)];
  must(await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold', migration, { consent })));
  await atA.appears(migration, 'ImageVerified', SOON_MS);
  await b.broker.kill('SIGSTOP');
  await atA.appears(migration, 'KeyReleased', SOON_MS);
  await clouds.bus.reload(mute(whole));
  await b.broker.kill('SIGCONT');
  await atB.appears(migration, 'VmHealthy', SOON_MS);
  await clouds.bus.reload(deaf(whole));
  await Promise.all([atA.close(), atB.close()]);
  return whole;
}

it('the glass is broken although the target ran the VM: both run, both are told, and the copy of the lower epoch is stopped and kept', async () => {
  const owner = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const [anna, bob] = [await personAt(clouds, a, 'operator/anna'), await personAt(clouds, a, 'operator/bob')];
  const vm = await createVm(a);
  must(await a.api.act('POST', `/v1/vms/${vm.vm}/restrictions`, { owner: Buffer.from(owner.publicKey).toString('base64') }));
  const migration = newMigration();
  const whole = await runUnheard(vm, migration, await consentTo(clouds, vm.vm, owner));
  expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
  expect(await rowOf(a, migration)).toMatchObject({ phase: 'released' });

  // What the three people could not know: their word that the target is fenced was false.
  const words = await wordsAbout(clouds, migration, owner);
  const path = `/v1/migrations/${migration}/break-glass`;
  await eventually(
    'the glass to be broken',
    async () => ((await bob.act('POST', path, words)).ok ? true : undefined),
    BROKEN_MS_MAX,
  );
  await eventually('both copies to run', () => (runsAt(clouds, vm).length === 2 ? true : undefined), SOON_MS);
  expect((await doctorAt(a, migration)).findings.map(({ code }) => code)).toContain('SPLIT_SUSPECTED');

  await clouds.bus.reload(whole);
  await eventually(
    'the copy of the lower epoch to be stopped',
    async () => ((await rowOf(b, migration)).targetPhase === 'fenced' ? true : undefined),
    SOON_MS,
  );
  expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
  // Stopped, and nothing of it destroyed.
  expect((await tracesOf(b, vm)).map((trace) => trace.split(' ')[0])).toEqual(
    expect.arrayContaining(['volume', 'domain', 'inventory']),
  );
  await eventually('A to know that both ran', async () => ((await bothRanSaid(a, migration)) ? true : undefined), SOON_MS);
  for (const side of [a, b]) {
    expect(await bothRanSaid(side, migration)).toContain(`epoch ${(await rowOf(side, migration)).epoch + 1} at ${a.plan.domain}`);
    expect(await alarmsAt(side)).toEqual(['BOTH_RAN', 'SPLIT_SUSPECTED']);
  }
  // Neither may be moved while the other copy is there.
  expect(await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'cold'))).toMatchObject({ ok: false });

  must(await b.api.act('POST', `/v1/migrations/${migration}/discard-copy`, { text: 'what it wrote was looked through' }));
  expect((await settled(clouds, migration, SOON_MS)).outcome).toBe('rolled-back');
  expect([await alarmsAt(a), await alarmsAt(b), await tracesOf(b, vm)]).toEqual([[], [], []]);
  expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
  await ledgersAgree(clouds);
  for (const client of [anna, bob]) client.close();
}, 500_000);

const bothRanSaid = async (at: Cloud, migration: string): Promise<string | undefined> =>
  (await doctorAt(at, migration)).findings.find(({ code }) => code === 'BOTH_RAN')?.text;
