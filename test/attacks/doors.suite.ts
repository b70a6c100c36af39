import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '@carnet/dev';
import { PAYLOAD_TYPES } from '@carnet/events';
import { leafSigner, readPem } from '@carnet/pki';
import { type Answer, type BrokerClient, StreamRefused } from '@carnet/publisher';
import { signEnvelope } from '@carnet/trust';
import { beforeAll, describe, expect, it } from 'vitest';
import { apiKeyAt } from '../faults/harness/api-keys.ts';
import { runsAt, tracesOf } from '../faults/harness/checks.ts';
import { clientOf, tokenClientOf } from '../faults/harness/cloud.ts';
import type { Clouds } from '../faults/harness/clouds.ts';
import { eventAppears, ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, intentOf, must, newMigration, settled, type Vm } from '../faults/harness/moves.ts';
import { A_ASKS, B_TAKES, clouds } from './rig.ts';

let vm: Vm;

beforeAll(async () => {
  vm = await createVm(clouds.a);
});

type Asked = { readonly data: Readonly<Record<string, unknown>> };
const TARGET = 'csp-b.example';
const valid = (): ReturnType<typeof intentOf> => intentOf(vm.vm, TARGET, 'cold');
const post = (body: unknown, api: BrokerClient = clouds.a.api): Promise<Answer<unknown>> => api.post('/v1/intents', body);
const withData = (changed: Readonly<Record<string, unknown>>): Asked => ({ ...valid(), data: { ...valid().data, ...changed } });

const everything = async (): Promise<unknown> => ({
  a: await ledgerRows(clouds.a.database),
  b: await ledgerRows(clouds.b.database),
  vms: await rowsOf(clouds.a.database, 'select vm, host, epoch from broker_vms order by vm'),
  runs: runsAt(clouds, vm),
});

async function isRefused(ask: () => Promise<Answer<unknown>>, code: string): Promise<void> {
  const before = await everything();
  expect(await ask()).toMatchObject({ ok: false, code });
  expect(await everything()).toEqual(before);
}

describe('requests at the door, each valid but for one field', () => {
  it('an unknown VM', () => isRefused(() => post(withData({ vm: `csp-a.example/${randomUUID()}` })), 'VM_UNKNOWN'));
  it('a VM of another CSP that is not here', () =>
    isRefused(() => post(withData({ vm: `csp-c.example/${randomUUID()}` })), 'VM_UNKNOWN'));
  it('an unknown peer', () => isRefused(() => post(withData({ target: 'csp-c.example' })), 'PEER_UNKNOWN'));
  it('itself as the peer', () => isRefused(() => post(withData({ target: 'csp-a.example' })), 'PEER_UNKNOWN'));
  it('an intent that has expired', () =>
    isRefused(() => post(withData({ notAfter: new Date(Date.now() - 1_000).toISOString() })), 'INTENT_EXPIRED'));
  it('an unknown field', () => isRefused(() => post(withData({ force: true })), 'PARAMETER_INVALID'));
  it('a mode that there is not', () => isRefused(() => post(withData({ mode: 'teleport' })), 'PARAMETER_INVALID'));
  it('a body larger than any request', () =>
    isRefused(() => post({ ...valid(), subject: 'x'.repeat(300_000) }), 'REQUEST_TOO_LARGE'));
  it('an auditor, who may read and not ask', () =>
    isRefused(
      () => post(valid(), clientOf(clouds.a.paths, clouds.a.plan, clouds.a.facts.ports.http, 'auditor')),
      'ROLE_MISSING',
    ));

  it('a certificate of the other CSP: no word of HTTP is exchanged', async () => {
    const { a, b } = clouds;
    const stranger = clientOf({ ...a.paths, pki: b.paths.pki }, a.plan, a.facts.ports.http, 'operator');
    await isRefused(() => post(valid(), stranger), 'UNREACHABLE');
    stranger.close();
  });

  it.each([
    ['signed by a leaf of the other CSP', 'b', 'a', 'SIGNATURE_REFUSED'],
    ['signed by one leaf, with the certificate of another', 'a', 'mixed', 'SIGNATURE_REFUSED'],
  ] as const)('a signed intent %s', async (_name, side, certificate, code) => {
    const pki = (key: 'a' | 'b', who: string, kind: string): string =>
      readFileSync(join(clouds[key].paths.pki, `${who}.${kind}`), 'utf8');
    const leafOf = (pem: string): Uint8Array => readPem(pem, 'CERTIFICATE')[0] ?? new Uint8Array();
    const signer = leafSigner(pki(side, 'scheduler', 'key'), leafOf(pki(side, 'scheduler', 'pem')));
    const envelope: unknown = JSON.parse(
      Buffer.from(signEnvelope(PAYLOAD_TYPES.request, Buffer.from(JSON.stringify(valid().data)), signer)).toString(),
    );
    const shown = leafOf(certificate === 'mixed' ? pki('a', 'operator', 'pem') : pki(side, 'scheduler', 'pem'));
    const data = { envelope, certificate: Buffer.from(shown).toString('base64') };
    await isRefused(() => post({ ...valid(), type: 'dev.carnet.migration.signed-intent.v1', data }), code);
  });

  it('the policy of the source denies', async () => {
    const big = await createVm(clouds.a, A_ASKS + 1);
    await isRefused(() => post(withData({ vm: big.vm })), 'POLICY_DENIES');
    expect(runsAt(clouds, big)).toEqual(['csp-a.example']);
  });
});

/** Everything that a key manager holds: a target that refuses makes no key pair. */
const keysOf = ({ database }: Clouds['b']): Promise<readonly object[]> =>
  rowsOf(
    database,
    'select (select count(*) from keys_holdings) as held, (select count(*) from keys_deposits) as deposits, (select count(*) from keys_imports) as imports',
  );

describe('the target says no', () => {
  const isTurnedDown = async (refused: Vm, code: string): Promise<void> => {
    const { a, b } = clouds;
    const migration = await intend(a, b, refused, 'cold');
    expect(await settled(clouds, migration, 30_000)).toMatchObject({
      outcome: 'refused',
      reasons: [expect.objectContaining({ code })],
    });
    expect(runsAt(clouds, refused)).toEqual(['csp-a.example']);
    expect(await tracesOf(b, refused)).toEqual([]);
  };

  it('by policy: refused in its ledger with its reason, nothing reserved', async () => {
    const { b } = clouds;
    const before = await keysOf(b);
    await isTurnedDown(await createVm(clouds.a, B_TAKES + 1), 'TOO_LARGE');
    expect(await keysOf(b)).toEqual(before);
  });

  it('no room: refused before anything is stopped or copied', async () => {
    const { a } = clouds;
    const body = { name: `vm-${randomUUID()}`, capacityBytes: 4_294_967_296, memoryMiB: 64, boot: { kind: 'disk' }, start: true };
    const { vm: name } = must(await a.api.post<{ readonly vm: string }>('/v1/vms', body));
    await isTurnedDown({ vm: name, uuid: name.split('/')[1] ?? '' }, 'NO_ROOM');
  });
});

describe('while a VM is moving', () => {
  it('neither a second intent nor a power switch is taken; the same intent again is the same', async () => {
    const { a, b } = clouds;
    const asked = intentOf(vm.vm, TARGET, 'suspend', newMigration());
    const first = must(await a.api.post<{ readonly digest: string }>('/v1/intents', asked));
    await eventAppears(a.database, asked.data.migration, 'MigrationIntended', 5_000);
    expect(await post(valid())).toMatchObject({ ok: false, code: 'VM_MOVING' });
    expect(await a.api.post(`/v1/vms/${vm.vm}/off`, {})).toMatchObject({ ok: false, code: 'VM_MOVING' });
    expect(await post({ ...asked, data: { ...asked.data, mode: 'cold' } })).toMatchObject({
      ok: false,
      code: 'MIGRATION_ID_TAKEN',
    });
    expect(must(await a.api.post('/v1/intents', asked))).toMatchObject({ digest: first.digest, repeated: true });
    expect(await settled(clouds, asked.data.migration, 60_000)).toMatchObject({ outcome: 'done' });
    expect(
      (await ledgerRows(a.database)).filter(
        ({ type, migration }) => type === 'MigrationIntended' && migration === asked.data.migration,
      ),
    ).toHaveLength(1);
    await eventually('the VM at B only', () => (runsAt({ a, b }, vm).join() === 'csp-b.example' ? true : undefined));
    // It left: its old home no longer knows it, and says so.
    await isRefused(() => post(valid()), 'VM_UNKNOWN');
  });
});

describe('a stream', () => {
  it('does not outlive the credential that opened it', async () => {
    const { a } = clouds;
    const reader = tokenClientOf(a, await apiKeyAt(a, 'reader', ['viewer']));
    const read = async (): Promise<string> => {
      const entries = reader.follow('')[Symbol.asyncIterator]();
      while ((await entries.next()).done !== true);
      return 'ended';
    };
    const verdict = read().catch((cause: unknown) => (cause instanceof StreamRefused ? cause.refused.code : String(cause)));
    const whose = "from users_api_keys where name = 'reader' and last_used_at is not null";
    await eventually('a reader at the door', async () =>
      (await rowsOf(a.database, `select id ${whose}`)).length > 0 ? true : undefined,
    );
    await rowsOf(a.database, "update users_api_keys set revoked_at = expires_at, revoked_by = 'a test' where name = 'reader'");
    // JUDGED_FOR_MS of the broker, and the reader's own coming back.
    expect(await Promise.race([verdict, pause(30_000)])).toBe('TOKEN_EXPIRED');
    reader.close();
  });
});
