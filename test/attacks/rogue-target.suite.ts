import { beforeAll, describe, expect, it } from 'vitest';
import { runsAt } from '../faults/harness/checks.ts';
import { ledgerRows } from '../faults/harness/ledger-db.ts';
import { createVm, intentOf, must, type Vm } from '../faults/harness/moves.ts';
import { clouds } from './rig.ts';
import type { Payload } from './rogue-peer.ts';
import { heard, isVoid, rogue, say, turnRogue } from './rogue-rig.ts';

type Asked = { readonly vm: Vm; readonly migration: string; readonly epoch: number; readonly intent: string };

/** A asks B to take a VM of its own, and B has not answered yet. */
async function asked(more: object = {}): Promise<Asked> {
  const vm = await createVm(clouds.a);
  const { migration } = must(
    await clouds.a.api.post<{ readonly migration: string }>(
      '/v1/intents',
      intentOf(vm.vm, 'csp-b.example', 'cold', undefined, more),
    ),
  );
  const { digest, payload } = await heard(migration, 'MigrationIntended');
  return { vm, migration, epoch: Number(payload['epoch']), intent: digest };
}
const next = (move: Asked, type: string, causes: readonly string[], data: Payload): Promise<Payload> =>
  rogue.next({ type, migration: move.migration, epoch: move.epoch, causes, data });

/** B's genuine offer of the honest move, for this intent: each attack changes one thing of it. */
async function offer(move: Asked, over: Payload = {}): Promise<Payload> {
  const genuine = await rogue.genuine('rogue', 'MigrationOffered');
  const until = new Date(Date.now() + 60_000).toISOString();
  return next(move, 'MigrationOffered', [move.intent], { ...genuine, intent: move.intent, until, ...over });
}

const typesOfA = async ({ migration }: Asked): Promise<readonly string[]> =>
  (await ledgerRows(clouds.a.database)).flatMap((row) =>
    row.publisher === clouds.a.plan.domain && row.migration === migration ? [row.type] : [],
  );

/** Nothing was stopped, nothing released: the VM never noticed. */
async function keepsRunning(move: Asked): Promise<void> {
  expect(runsAt(clouds, move.vm)).toEqual([clouds.a.plan.domain]);
  expect(clouds.a.host.effects().filter(({ uuid, effect }) => uuid === move.vm.uuid && effect === 'off')).toEqual([]);
  const types = await typesOfA(move);
  for (const type of ['SourceQuiesced', 'ImageSealed', 'KeyReleased']) expect(types).not.toContain(type);
}

describe('a rogue target that answers', () => {
  beforeAll(turnRogue);

  it.each<readonly [string, string, (move: Asked) => Promise<Payload>]>([
    ['with a weaker suite', 'SCHEMA_INVALID', (move) => offer(move, { kem: '0x0020' })],
    ['with less re-keying than was demanded', 'REKEY_WEAKER', (move) => offer(move, { rekey: 'none' })],
    [
      'to the intent of another migration',
      'CITATION_MISMATCH',
      async (move) => {
        const { intent } = await rogue.genuine('rogue', 'MigrationOffered');
        return { ...(await offer(move, { intent })), causes: [String(intent)] };
      },
    ],
    ['without citing what it answers', 'CITATION_MISSING', async (move) => ({ ...(await offer(move)), causes: [] })],
    ['for an older epoch', 'EPOCH_MISMATCH', async (move) => ({ ...(await offer(move)), epoch: move.epoch + 1 })],
    [
      'with a promise before any offer',
      'WRONG_PHASE',
      async (move) => next(move, 'TargetReady', [], await rogue.genuine('rogue', 'TargetReady')),
    ],
    [
      'that it verified an image which nobody sealed',
      'WRONG_PHASE',
      async (move) => next(move, 'ImageVerified', [], await rogue.genuine('rogue', 'ImageVerified')),
    ],
    [
      'that it has the keys',
      'WRONG_PHASE',
      async (move) => next(move, 'KeyImported', [], await rogue.genuine('rogue', 'KeyImported')),
    ],
    [
      'that the VM runs at its place',
      'WRONG_PHASE',
      async (move) => next(move, 'VmStarted', [], await rogue.genuine('rogue', 'VmStarted')),
    ],
  ])('%s: %s', async (_name, code, answer) => {
    const move = await asked({ rekey: 'slot' });
    await isVoid(await answer(move), code, move.vm.vm);
    expect(await typesOfA(move)).toEqual(['MigrationIntended']);
    await keepsRunning(move);
    must(await clouds.a.api.post(`/v1/migrations/${move.migration}/cancel`, {}));
  });

  const isWithdrawn = async (move: Asked, code: string): Promise<void> => {
    expect((await heard(move.migration, 'MigrationWithdrawn')).data['reason']).toMatchObject({ code });
    await keepsRunning(move);
  };

  it('with a public key that is none', async () => {
    const move = await asked();
    await say(await offer(move, { publicKey: Buffer.alloc(1_216, 1).toString('base64').slice(0, -4) }));
    await isWithdrawn(move, 'PUBLIC_KEY_INVALID');
  });

  it('with an agent of ours as its own', async () => {
    const move = await asked();
    const { agent } = await rogue.genuine('victim', 'OfferAgreed');
    await say(await offer(move, { agent }));
    await isWithdrawn(move, 'AGENT_UNTRUSTED');
  });

  it('with an acknowledgement that proves no possession: nothing is stopped, nothing released', async () => {
    const move = await asked();
    await say(await offer(move));
    const { digest, data } = await heard(move.migration, 'KeyDeposited');
    const keys = data['keys'] as readonly { readonly key: string }[];
    const macs = keys.map(({ key }) => ({ key, mac: '5a'.repeat(32) }));
    const acknowledged = await say(await next(move, 'DepositAcknowledged', [digest], { deposit: digest, macs }));
    const agreed = (await heard(move.migration, 'OfferAgreed')).digest;
    const until = new Date(Date.now() + 600_000).toISOString();
    await say(await next(move, 'TargetReady', [agreed], { agreed, acknowledged, until }));
    await isWithdrawn(move, 'ACKNOWLEDGEMENT_MAC_WRONG');
  });
});
