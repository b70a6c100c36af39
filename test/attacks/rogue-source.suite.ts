import { beforeAll, describe, expect, it } from 'vitest';
import { ledgerRows } from '../faults/harness/ledger-db.ts';
import { foldedAt } from './fold.ts';
import { clouds, saysOnce, truthOfA } from './rig.ts';
import { type Payload, someKey } from './rogue-peer.ts';
import { heard, isVoid, rogue, say, stays, turnRogue } from './rogue-rig.ts';

/** What B, as a source, says of a VM that came to it by an honest move. */
const dataOf = async (): Promise<Payload> => (await rogue.intended())['data'] as Payload;
const withData = async (data: Payload): Promise<Payload> => ({
  ...(await rogue.intended()),
  data: { ...(await dataOf()), ...data },
});
const withSpec = async (over: Payload): Promise<Payload> =>
  withData({ spec: { ...((await dataOf())['spec'] as Payload), ...over } });
const disksAs = async (format: string): Promise<Payload> => {
  const { disks } = (await dataOf())['spec'] as { readonly disks: readonly Payload[] };
  return withSpec({ disks: disks.map((disk) => ({ ...disk, format })) });
};
const OVER = { code: 'CANCELLED', text: 'the attack is over' };
const shadow = { kind: 'kernel', kernel: '../../../etc/shadow', initrd: '0'.repeat(64), cmdline: '' };

describe('a rogue source that intends', () => {
  beforeAll(turnRogue);

  it.each<readonly [string, string, () => Promise<Payload>]>([
    ['with XML in the VM’s name', 'SCHEMA_INVALID', () => withSpec({ name: 'x</name><devices/>' })],
    ['with XML in the machine type', 'SCHEMA_INVALID', () => withSpec({ machine: "pc-q35-7.2'/><emulator>/bin/sh</emulator>" })],
    ['with a path as a kernel', 'SCHEMA_INVALID', () => withSpec({ boot: shadow })],
    ['with a disk in a format that names other files', 'SCHEMA_INVALID', () => disksAs('vmdk')],
    ['in the name of another source', 'WRONG_PUBLISHER', () => withData({ source: 'csp-c.example' })],
    ['with an epoch that was used', 'EPOCH_REUSED', async () => ({ ...(await rogue.intended()), epoch: 1 })],
    ['in words of tomorrow', 'TYPE_UNKNOWN', async () => ({ ...(await rogue.intended()), type: 'MigrationForced' })],
  ])('%s: %s', async (_name, code, payload) => isVoid(await payload(), code, String((await dataOf())['vm'])));

  it('a VM that it does not hold: VM_NOT_HERE', async () =>
    isVoid({ ...(await withData({ vm: stays.vm })), epoch: 1, causes: [] }, 'VM_NOT_HERE', stays.vm));

  it('for an asker who is one of ours: A refuses, and reserves nothing', async () => {
    const request = { via: 'mtls', principal: 'spiffe://csp-a.example/operator', digest: '0'.repeat(64) };
    const { events: _events, ledgers: _ledgers, ...before } = await truthOfA();
    const payload = await withData({ request });
    const intent = await say(payload);
    const { migration, epoch } = payload;
    const refused = await heard(String(migration), 'MigrationRefused');
    expect(refused.data['reasons']).toEqual([expect.objectContaining({ code: 'REQUEST_REFUSED' })]);
    expect(await truthOfA()).toMatchObject(before);
    await say(await rogue.next({ type: 'MigrationWithdrawn', migration, epoch, causes: [], data: { intent, reason: OVER } }));
  });

  it('a VM that is here, as if it had come back by a third CSP: A refuses by its own inventory', async () => {
    const { events: _events, ledgers: _ledgers, ...before } = await truthOfA();
    const payload: Payload = { ...(await withData({ vm: stays.vm })), epoch: 7, causes: [] };
    await say(payload);
    const refused = await heard(String(payload['migration']), 'MigrationRefused');
    expect(refused.data['reasons']).toEqual([expect.objectContaining({ code: 'VM_PRESENT' })]);
    expect(await truthOfA()).toMatchObject(before);
  });
});

type Begun = {
  readonly migration: string;
  readonly epoch: number;
  readonly vm: string;
  readonly intent: string;
  readonly offer: string;
  readonly deadline: unknown;
};

/** A genuine intent and A's offer for it: the rogue has the VM, and A is ready to take it. */
async function begun(): Promise<Begun> {
  const payload = await rogue.intended();
  const intent = await say(payload);
  const migration = String(payload['migration']);
  const data = payload['data'] as Payload;
  expect((await foldedAt(clouds.a, String(data['vm']))).voids.get(intent)).toBeUndefined();
  const offer = (await heard(migration, 'MigrationOffered')).digest;
  return { migration, epoch: Number(payload['epoch']), vm: String(data['vm']), intent, offer, deadline: data['deadline'] };
}
const next = async ({ migration, epoch }: Begun, type: string, causes: readonly string[], data: Payload): Promise<Payload> =>
  rogue.next({ type, migration, epoch, causes, data });

/** Agrees, with B's own agent and an address of B's unless told otherwise, and deposits what A once deposited for B. */
async function depositOld(move: Begun, over: Payload = {}): Promise<void> {
  const { agent } = await rogue.genuine('rogue', 'MigrationOffered');
  const dataPath = { address: '127.0.0.1', port: 9, serverName: 'hv1.csp-b.example' };
  const agreed = await say(await next(move, 'OfferAgreed', [move.offer], { offer: move.offer, agent, dataPath, ...over }));
  const old = await rogue.genuine('victim', 'KeyDeposited');
  await say(await next(move, 'KeyDeposited', [move.offer], { ...old, offer: move.offer, agreed, notAfter: move.deadline }));
}

describe('a rogue source whose offer was taken', () => {
  beforeAll(turnRogue);

  /** A gives the migration up with this code, and its keys and VMs are what they were. */
  async function isRelinquished(move: Begun, code: string, before: Awaited<ReturnType<typeof truthOfA>>): Promise<void> {
    const { data } = await heard(move.migration, 'MigrationRelinquished');
    expect(data['reason']).toMatchObject({ code });
    const { vms, keys, running } = await truthOfA();
    expect({ vms, keys, running }).toEqual({ vms: before.vms, keys: before.keys, running: before.running });
    const types = (await ledgerRows(clouds.a.database)).flatMap((row) => (row.migration === move.migration ? [row.type] : []));
    for (const type of ['DepositAcknowledged', 'StartAuthorized']) expect(types).not.toContain(type);
    await say(await next(move, 'MigrationWithdrawn', [], { intent: move.intent, reason: OVER }));
  }

  it('the release of an older epoch and one before its time are void, a stranger’s deposit is refused: nothing opens', async () => {
    const move = await begun();
    const release = await rogue.genuine('victim', 'KeyReleased');
    const now = await next(move, 'KeyReleased', [], release);
    await isVoid({ ...now, epoch: move.epoch - 1 }, 'EPOCH_MISMATCH', move.vm);
    await isVoid(await next(move, 'KeyReleased', [], release), 'WRONG_PHASE', move.vm);
    // Whoever knows the public key of the offer can seal to it: HPKE in Base mode names no sender. The event's signature does.
    const deposit = await next(move, 'KeyDeposited', [move.offer], await rogue.genuine('victim', 'KeyDeposited'));
    const ofStranger = rogue.sign(deposit, { signer: someKey() });
    await saysOnce('brokerLog', '"code":"KEY_NOT_ANNOUNCED"', () => rogue.fire(ofStranger));
    await say(await next(move, 'MigrationWithdrawn', [], { intent: move.intent, reason: OVER }));
    await heard(move.migration, 'MigrationRelinquished');
  });

  it('a deposit that was made for another migration and CSP opens nothing', async () => {
    const before = await truthOfA();
    const move = await begun();
    await depositOld(move);
    await isRelinquished(move, 'DEPOSIT_CONTEXT_MISMATCH', before);
  });

  it('a data path into our own network is not dialled', async () => {
    const before = await truthOfA();
    const move = await begun();
    await depositOld(move, { dataPath: { address: '169.254.169.254', port: 80, serverName: 'hv1.csp-b.example' } });
    await isRelinquished(move, 'DATA_PATH_REFUSED', before);
  });

  it('an agent of ours that it calls its own is no witness of its', async () => {
    const before = await truthOfA();
    const move = await begun();
    const { agent } = await rogue.genuine('victim', 'OfferAgreed');
    await depositOld(move, { agent });
    await isRelinquished(move, 'AGENT_UNTRUSTED', before);
  });
});
