import { readFileSync } from 'node:fs';
import { eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { becomeRogue, digestOf } from '../attacks/rogue-peer.ts';
import { ledgersAgree, runsAt } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { ledgerRows, rowsOf } from './harness/ledger-db.ts';
import { createVm, intend, must, settled, type Vm } from './harness/moves.ts';

type Key = {
  readonly key: string;
  readonly project: string;
  readonly state: string;
  readonly origin: string;
  readonly kekVersion?: number;
  readonly consumers: readonly string[];
  readonly provenance: readonly string[];
  readonly history: readonly { readonly signature?: unknown }[];
  readonly reportedCompromisedBy: readonly string[];
};
type Rotation = {
  readonly version: number;
  readonly left: number;
  readonly done: boolean;
  readonly destroyed: readonly number[];
};
type Use = { readonly operation: string; readonly principal: string; readonly reason: string };

const END_MS_MAX = 90_000;
const NEWS_MS_MAX = 60_000;
const REASON = { reason: 'a laptop was lost', code: 'key-compromise' };

let clouds: Clouds;
let vm: Vm;
let migration: string;
let key: string;

const shown = async ({ api }: Pick<Cloud, 'api'>, id = key): Promise<Key> => must(await api.get<Key>(`/v1/keys/${id}`));
const switchVm = (at: Cloud, power: 'on' | 'off') => at.api.post<{ readonly state: string }>(`/v1/vms/${vm.vm}/${power}`, {});
const uses = async (at: Cloud): Promise<readonly Use[]> =>
  must(await at.api.get<{ readonly items: readonly Use[] }>(`/v1/keys/${key}/uses`)).items;
const verdict = async (at: Cloud) => must(await at.api.get<{ readonly intact: boolean }>('/v1/key-uses/verdict')).intact;

beforeAll(async () => {
  clouds = await startClouds();
  const { a, b } = clouds;
  vm = await createVm(a);
  const keys = must(await a.api.get<{ readonly items: readonly Key[] }>('/v1/keys')).items;
  key = keys.find(({ consumers }) => consumers.includes(`vm:${vm.vm}`))?.key ?? '';
  migration = await intend(a, b, vm, 'cold');
  await settled(clouds, migration, END_MS_MAX);
  await ledgersAgree(clouds);
}, 240_000);
afterAll(() => clouds?.stop());

/** The source's whole cloud: broker, host and database. */
const wholeCloud = ({ broker, agent, database }: Cloud) => [broker, agent, database] as const;

describe('a key that migrated', () => {
  it('is in the receiver’s key manager, under the project of its home, with its origin and the events that prove it', async () => {
    const { a, b } = clouds;
    const row = await shown(b);
    expect(row).toMatchObject({
      project: 'csp-a.example/default',
      state: 'active',
      origin: 'migrated',
      source: 'csp-a.example',
      migration,
      epoch: 1,
      derivation: 'luks-passphrase-hex',
      consumers: [`vm:${vm.vm}`],
      historyChain: 'intact',
      reportedCompromisedBy: [],
    });
    expect(row).toMatchObject({ imageRoot: expect.stringMatching(/^[0-9a-f]{64}$/), headerDigest: expect.any(String) });
    const events = await ledgerRows(b.database);
    for (const [word, type] of [
      ['deposit', 'KeyDeposited'],
      ['release', 'KeyReleased'],
      ['receipt', 'KeyImported'],
      ['retirement', 'SourceRetired'],
    ])
      expect(row.provenance).toContain(`${word} ${events.find((event) => event.type === type)?.digest}`);
    expect(await shown(a)).toMatchObject({ state: 'destroyed', consumers: [] });
    for (const side of [a, b]) expect(await verdict(side)).toBe(true);
  });

  it('opens its VM’s disk after a reboot, and after a restart of the receiver, with the source’s whole cloud switched off', async () => {
    const { a, b } = clouds;
    for (const daemon of wholeCloud(a)) await daemon.kill('SIGKILL');
    must(await switchVm(b, 'off'));
    expect(runsAt(clouds, vm)).toEqual([]);
    must(await switchVm(b, 'on'));
    await eventually('the VM at B', () => (runsAt(clouds, vm).join() === 'csp-b.example' ? true : undefined));
    await b.broker.kill('SIGKILL');
    await b.broker.restart();
    await eventually('a host that is up', async () => {
      const hosts = await b.api.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/hosts');
      return hosts.ok && hosts.value.items.some(({ state }) => state === 'up') ? true : undefined;
    });
    must(await switchVm(b, 'off'));
    expect(must(await switchVm(b, 'on'))).toMatchObject({ state: 'running' });
    expect((await uses(b)).filter(({ reason }) => reason === 'VM_START')).toMatchObject([
      { operation: 'run', principal: 'spiffe://csp-b.example/operator' },
      { operation: 'run', principal: 'spiffe://csp-b.example/operator' },
    ]);
  });

  it('is re-wrapped by two replicas at once, once, with nothing left', async () => {
    const { b } = clouds;
    const second = await b.startReplica();
    const rotate = async ({ api }: Pick<Cloud, 'api'>): Promise<Rotation> => {
      const path = `/v1/projects/${encodeURIComponent('csp-a.example/default')}/rotations`;
      let step = must(await api.post<Rotation>(path, { reason: 'yearly' }));
      while (!step.done) step = must(await api.post<Rotation>(path, { reason: 'yearly', version: step.version }));
      return step;
    };
    const both = await Promise.all([rotate(b), rotate(second)]);
    for (const one of both) expect(one).toMatchObject({ left: 0, done: true });
    const newest = Math.max(...both.map(({ version }) => version));
    expect((await shown(b)).kekVersion).toBe(newest);
    const live = await rowsOf(b.database, 'select version from keys_keks where wrapped is not null');
    expect(live).toEqual([{ version: newest }]);
    must(await switchVm(b, 'off'));
    must(await switchVm(b, 'on'));
    await second.broker.stop();
  });

  it('that its holder finds compromised is told to whoever ever held it, who notes it and changes nothing', async () => {
    const { a, b } = clouds;
    expect(must(await b.api.post<Key>(`/v1/keys/${key}/compromise`, REASON)).history.at(-1)?.signature).toBeDefined();
    must(await switchVm(b, 'off'));
    expect(await switchVm(b, 'on')).toMatchObject({ ok: false, code: 'PURPOSE_REFUSED' });
    const [broker, agent, database] = wholeCloud(a);
    for (const daemon of [database, agent, broker]) await daemon.restart();
    const row = await eventually(
      'A’s notice',
      async () => {
        const seen = await a.api.get<Key>(`/v1/keys/${key}`);
        return seen.ok && seen.value.reportedCompromisedBy.length > 0 ? seen.value : undefined;
      },
      NEWS_MS_MAX,
    );
    expect(row).toMatchObject({
      state: 'destroyed',
      reportedCompromisedBy: ['csp-b.example'],
      reports: [{ peer: 'csp-b.example', from: 'active', to: 'compromised', reason: 'key-compromise' }],
    });
    await ledgersAgree(clouds);
    const told = (await ledgerRows(a.database)).filter(({ type }) => type === 'KeyStateChanged');
    expect(told).toMatchObject([{ publisher: 'csp-b.example', void_code: null }]);
  });

  it('of which a peer speaks without ever having held it: nothing is noted, nothing is changed', async () => {
    const { a, b } = clouds;
    const stays = await createVm(a);
    const keys = must(await a.api.get<{ readonly items: readonly Key[] }>('/v1/keys')).items;
    const own = keys.find(({ consumers }) => consumers.includes(`vm:${stays.vm}`))?.key ?? '';
    const rogue = await becomeRogue(clouds, b, a);
    const { migration: _m, epoch: _e, ...place } = await rogue.intended();
    const data = { key: own, version: 1, migration, from: 'active', to: 'compromised', reason: 'key-compromise' };
    const shot = rogue.sign({
      ...place,
      causes: [],
      type: 'KeyStateChanged',
      data: { ...data, at: new Date().toISOString() },
    });
    const before = [await shown(a, own), await rowsOf(a.database, 'select * from keys_reports')];
    await rogue.fire(shot);
    await eventually('A’s refusal', () =>
      readFileSync(a.paths.brokerLog, 'utf8').includes('"KEY_NOT_SHARED"') ? true : undefined,
    );
    expect([await shown(a, own), await rowsOf(a.database, 'select * from keys_reports')]).toEqual(before);
    expect((await ledgerRows(a.database)).at(-1)).toMatchObject({ digest: digestOf(shot), void_code: null });
    must(await a.api.post(`/v1/vms/${stays.vm}/off`, {}));
    must(await a.api.post(`/v1/vms/${stays.vm}/on`, {}));
    await rogue.close();
  });
});
