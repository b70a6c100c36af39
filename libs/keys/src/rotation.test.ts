import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { KeyProcess } from './child/pool.ts';
import { createHostKeyPair, openForHost } from './hosts.ts';
import { onKeys } from './records/tables.ts';
import {
  begin,
  deposited,
  granted,
  inlineProcess,
  must,
  openSide,
  record,
  released,
  type Side,
  type Story,
  snapshot,
  TENANT,
  within,
} from './testing/two-sides.ts';
import { tenant } from './vault/hierarchy.ts';

const ROTATION = { tenant: TENANT, actor: 'spiffe://csp-a.example/custodian', reason: 'yearly' };
const open: Side[] = [];
afterEach(async () => {
  for (const side of open.splice(0)) await side.close();
});

async function side(process: KeyProcess = inlineProcess()): Promise<Side> {
  const opened = await openSide({ process });
  open.push(opened);
  return opened;
}

/** A process that dies at its nth call, as a killed broker would: nothing of that call is known. */
function dyingAt(n: number) {
  const inner = inlineProcess();
  const calls = { done: 0, armed: false };
  const process: KeyProcess = {
    ...inner,
    call: async (operation, input, secret) => {
      if (calls.armed) {
        calls.done += 1;
        if (calls.done === n) throw new Error('killed');
      }
      return inner.call(operation, input, secret);
    },
  };
  return { process, calls };
}

/** The DEK of a disk as a host would get it for a step of the migration. */
async function dekOf(at: Side, story: Story): Promise<string> {
  const host = await createHostKeyPair();
  const { vm, epoch } = story.handover;
  const context = { domain: story.handover.source, host: 'h1', vm, epoch, purpose: 'run' } as const;
  const keys = story.keys.filter(({ kind }) => kind === 'disk');
  const request = { context, keys, publicKey: host.publicKey, grant: granted(story) };
  const sealed = must(await at.keys.sealForHost(request));
  const [opened] = must(await openForHost(host.privateKey, context, sealed));
  return opened?.dek.toString('hex') ?? 'none';
}

const stateOf = async (at: Side) => {
  const db = onKeys(at.store.db);
  const keks = await db.selectFrom('keys_keks').select(['version', 'wrapped']).orderBy('version').execute();
  return keks.map(({ version, wrapped }) => [version, wrapped === null ? 'destroyed' : 'live']);
};

describe('rotation of a KEK', () => {
  it('moves DEKs, deposit secrets and import keys; the hand-over that was open goes on, and the old KEK is gone', async () => {
    const [a, b] = [await side(), await side()];
    const story = await begin(a, b);
    const before = await dekOf(a, story);
    const { deposit, acknowledged } = await deposited(a, b, story);
    const atA = must(await a.keys.rotateKek(ROTATION));
    const atB = must(await b.keys.rotateKek(ROTATION));
    expect(atA).toEqual({ tenant: TENANT, version: 2, deks: 2, secrets: 1, outside: 0, left: 0, done: true, destroyed: [1] });
    expect(atB).toEqual({ tenant: TENANT, version: 2, deks: 0, secrets: 1, outside: 0, left: 0, done: true, destroyed: [1] });
    expect(await stateOf(a)).toEqual([
      [1, 'destroyed'],
      [2, 'live'],
    ]);
    expect(await dekOf(a, story)).toBe(before);
    const { release, roots } = await released(a, b, story, { deposit, acknowledged });
    const { migration, epoch } = story.handover;
    must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    expect(await dekOf(b, story)).toBe(before);
  });

  it.each([1, 2, 3, 4])('is taken up after a crash at its operation %i, and every key opens before and after', async (n) => {
    const { process, calls } = dyingAt(n);
    const [a, b] = [await side(process), await side()];
    const story = await begin(a, b);
    await deposited(a, b, story);
    const before = await dekOf(a, story);
    calls.armed = true;
    const crashed = await a.keys.rotateKek(ROTATION).then(
      (result) => must(result).done,
      () => 'crashed',
    );
    calls.armed = false;
    expect(crashed).toBe(n <= 3 ? 'crashed' : true);
    expect(await dekOf(a, story)).toBe(before);
    const again = must(await a.keys.rotateKek(ROTATION));
    expect(again).toMatchObject({ left: 0, done: true });
    // One rotation, whoever finished it: only when the first had ended does a second begin.
    expect(again.version).toBe(crashed === 'crashed' ? 2 : 3);
    expect(await dekOf(a, story)).toBe(before);
  });

  it('a secret that was wrapped before and recorded after the old KEK was destroyed is an accident, not a row that never opens', async () => {
    const [a, b] = [await side(), await side()];
    const story = await begin(a, b);
    const prepared = must(await a.keys.deposit(story));
    must(await a.keys.rotateKek(ROTATION));
    const before = await snapshot(a);
    await expect(within(a, prepared.record)).rejects.toMatchObject({ code: 'KEK_DESTROYED', retryable: true });
    expect(await snapshot(a)).toBe(before);
    must(await record(a, await a.keys.deposit(story)));
  });

  it('a row that does not open stops it with its code, and no KEK is destroyed', async () => {
    const [a, b] = [await side(), await side()];
    const story = await begin(a, b);
    await deposited(a, b, story);
    await onKeys(a.store.db)
      .updateTable('keys_deposits')
      .set({ secrets: randomBytes(128).toString('base64') })
      .execute();
    expect(await a.keys.rotateKek(ROTATION)).toMatchObject({ ok: false, code: 'DEPOSIT_UNOPENABLE' });
    expect(await stateOf(a)).toEqual([
      [1, 'live'],
      [2, 'live'],
    ]);
  });

  it('one project’s rotation leaves another’s alone, and an unknown project or rotation is refused', async () => {
    const [a, b] = [await side(), await side()];
    await begin(a, b);
    const before = await snapshot(a);
    const other = { ...ROTATION, tenant: tenant.parse('other') };
    expect(await a.keys.rotateKek(other)).toMatchObject({ code: 'PROJECT_UNKNOWN' });
    expect(await a.keys.rotateSome({ ...ROTATION, version: 9 })).toMatchObject({ code: 'ROTATION_UNKNOWN' });
    expect(await snapshot(a)).toBe(before);
  });

  it('no kept secret of one hand-over opens as another’s', async () => {
    const [a, b] = [await side(), await side()];
    const [one, two] = [await begin(a, b), await begin(a, b)];
    await deposited(a, b, one);
    await deposited(a, b, two);
    const db = onKeys(a.store.db);
    const [first, second] = await db.selectFrom('keys_deposits').select(['migration', 'secrets']).execute();
    if (first === undefined || second === undefined) throw new Error('two deposits expected');
    await db.updateTable('keys_deposits').set({ secrets: second.secrets }).where('migration', '=', first.migration).execute();
    expect(await a.keys.rotateKek(ROTATION)).toMatchObject({ code: 'DEPOSIT_UNOPENABLE' });
  });
});
