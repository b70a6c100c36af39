import { randomBytes } from 'node:crypto';
import { eventually } from '@carnet/dev';
import { uuidv7 } from '@carnet/events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ledgersAgree, runsAt, withLogsOf } from '../faults/harness/checks.ts';
import type { Cloud } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { eventAppears, ledgerRows } from '../faults/harness/ledger-db.ts';
import { createVm, intend, intentOf, must, settled, type Vm } from '../faults/harness/moves.ts';
import { aMigration, becomeRogue, digestOf, type Rogue } from './rogue-peer.ts';

let clouds: Clouds;
let rogue: Rogue | undefined;
let vm: Vm;
/** Both operators are administrators too: agreeing takes one at each side. */
const policy = (text: string): string =>
  text.replaceAll(
    /\{\s*"type": "Role",\s*"id": "operator"\s*\}/g,
    (role) => `${role}, ${role.replace('operator', 'administrator')}`,
  );
beforeAll(async () => {
  clouds = await startClouds({ policy });
  vm = await createVm(clouds.a);
});
afterAll(async () => {
  await rogue?.close();
  await clouds?.stop();
});

type Agreed = {
  readonly inForce?: { readonly terms: { readonly version: number }; readonly proposal: string };
  readonly open: readonly { readonly proposal: string }[];
};
const pathTo = (peer: Cloud): string => `/v1/peers/${peer.plan.domain}/agreement`;
const agreedAt = async (at: Cloud, peer: Cloud): Promise<Agreed> => must(await at.api.get<Agreed>(pathTo(peer)));
const terms = (modes: readonly string[], more: object = {}) => ({
  modes,
  algorithms: ['x25519-ml-kem-768'],
  retentionDays: 365,
  jurisdictions: ['DE', 'EU', 'FR'],
  rollbackWindowSecondsMax: 600,
  notBefore: new Date(Date.now() - 60_000).toISOString(),
  notAfter: new Date(Date.now() + 86_400_000).toISOString(),
  ...more,
});
async function agree(modes: readonly string[], more: object = {}): Promise<void> {
  const { a, b } = clouds;
  const { proposal } = must(await a.api.post<{ readonly proposal: string }>(`${pathTo(b)}/proposals`, terms(modes, more)));
  await eventually('the proposal at B', async () => ((await agreedAt(b, a)).open[0]?.proposal === proposal ? true : undefined));
  must(await b.api.post(`${pathTo(a)}/accept`, { proposal }));
  await eventually('the acceptance at A', async () => ((await agreedAt(a, b)).inForce?.proposal === proposal ? true : undefined));
}

it('one proposes, the other accepts, and both find the same terms in their ledgers', async () => {
  const { a, b } = clouds;
  const { proposal } = must(await a.api.post<{ readonly proposal: string }>(`${pathTo(b)}/proposals`, terms(['cold'])));
  expect(await agreedAt(a, b)).toMatchObject({ open: [{ proposal }] });
  expect(await a.api.post(`${pathTo(b)}/accept`, { proposal })).toMatchObject({ ok: false, code: 'AGREEMENT_OWN' });
  await eventually('the proposal at B', async () => ((await agreedAt(b, a)).open[0]?.proposal === proposal ? true : undefined));
  expect(await b.api.post(`${pathTo(a)}/accept`, { proposal: 'ab'.repeat(32) })).toMatchObject({ code: 'AGREEMENT_UNKNOWN' });
  expect((await agreedAt(b, a)).inForce).toBeUndefined();
  must(await b.api.post(`${pathTo(a)}/accept`, { proposal }));
  await eventually('the acceptance at A', async () => (await agreedAt(a, b)).inForce);
  expect(await agreedAt(a, b)).toEqual(await agreedAt(b, a));
  await ledgersAgree(clouds);
});

it('a migration of a mode that was not agreed is refused, and nothing is said or moved; an agreed one goes through', async () => {
  const { a, b } = clouds;
  const before = await ledgerRows(a.database);
  expect(await a.api.post('/v1/intents', intentOf(vm.vm, b.plan.domain, 'suspend'))).toMatchObject({ code: 'MODE_NOT_AGREED' });
  expect(await ledgerRows(a.database)).toEqual(before);
  expect(runsAt(clouds, vm)).toEqual([a.plan.domain]);
  expect(await settled(clouds, await intend(a, b, vm, 'cold'), 60_000)).toMatchObject({ outcome: 'done' });
});

it('an offer whose keys would be sealed otherwise than agreed is made by nobody: the target refuses, and the VM stays', async () => {
  const { a, b } = clouds;
  await agree(['cold'], { algorithms: ['dhkem-p256'] });
  const row = await settled(clouds, await intend(b, a, vm, 'cold'), 60_000);
  expect(row).toMatchObject({ outcome: 'refused', reasons: [{ code: 'ALGORITHM_NOT_AGREED' }] });
  expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
}, 120_000);

it('nothing is sent to a CSP that answers to a jurisdiction that was not agreed on', async () => {
  const { a, b } = clouds;
  await agree(['cold'], { jurisdictions: ['US'] });
  const before = await ledgerRows(b.database);
  expect(await b.api.post('/v1/intents', intentOf(vm.vm, a.plan.domain, 'cold'))).toMatchObject({
    code: 'JURISDICTION_NOT_AGREED',
  });
  expect(await ledgerRows(b.database)).toEqual(before);
  expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
  await agree(['cold']);
});

it('a peer that begins one all the same is refused; agreeing to other bytes changes nothing', async () => {
  const { a, b } = clouds;
  await ledgersAgree(clouds);
  const agreed = await agreedAt(a, b);
  rogue = await becomeRogue(clouds, b, a);
  const honest = await rogue.intended();
  const migration = aMigration();
  const data = { ...Object(honest['data']), mode: 'suspend' };
  const shot = rogue.sign({ ...honest, migration, data });
  await rogue.fire(shot);
  await eventAppears(a.database, migration, 'MigrationRefused', 30_000).catch(withLogsOf(clouds, migration));
  // Lists are a view: they follow what was decided.
  await eventually('the reason at A’s door', async () => {
    const row = must(await a.api.get<{ readonly reasons: readonly { readonly code: string }[] }>(`/v1/migrations/${migration}`));
    return row.reasons.some(({ code }) => code === 'MODE_NOT_AGREED') ? true : undefined;
  });
  const { migration: _migration, epoch: _epoch, ...base } = honest;
  const next = { seq: String(Number(base['seq']) + 1), prev: digestOf(shot), id: uuidv7(Date.now(), randomBytes(10)) };
  const altered = rogue.sign({ ...base, ...next, type: 'AgreementAccepted', data: { proposal: 'ab'.repeat(32) } });
  await rogue.fire(altered);
  await eventually('the acceptance of nothing', async () =>
    (await ledgerRows(a.database)).some(({ digest }) => digest === digestOf(altered)) ? true : undefined,
  );
  expect(await agreedAt(a, b)).toEqual(agreed);
}, 120_000);
