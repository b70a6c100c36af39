import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostName } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Arrived } from '../handover/bring-back.ts';
import { createHostKeyPair, openForHost } from '../hosts.ts';
import { onKeys } from '../records/tables.ts';
import {
  begin,
  digestOfData,
  inlineProcess,
  must,
  openSide,
  record,
  released,
  retiring,
  type Side,
  snapshot,
  someDigest,
  TENANT,
  within,
} from '../testing/two-sides.ts';
import { decodeSpare, encodeSpare, fileNameOf, nameFrom, nameOf } from './spare.ts';
import { openSpares } from './spares.ts';

let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

const dirOf = (side: Side) => join(side.dir, 'spares');
const sparesOf = (side: Side, key: string) => readdirSync(dirOf(side)).filter((file) => file.includes(key));

/** A VM's keys up to their import at B, in a transaction that commits or does not. */
async function arriving() {
  const story = await begin(a, b);
  const { deposit, acknowledged, release, roots } = await released(a, b, story);
  const { migration, epoch } = story.handover;
  must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
  const importing = (tx: Parameters<typeof b.keys.importKeys>[0]) =>
    b.keys.importKeys(tx, { migration, epoch, release: release.digest });
  const arrived: Arrived = {
    handover: story.handover,
    tenant: TENANT,
    deposit,
    acknowledgement: acknowledged.data,
    release: release.digest,
    imported: digestOfData(release.digest),
    roots,
    memory: 'used',
  };
  const disk = story.keys.find(({ kind }) => kind === 'disk');
  if (disk === undefined) throw new Error('no disk');
  return { story, arrived, disk, importing };
}
async function imported() {
  const story = await arriving();
  must(await within(b, story.importing));
  return story;
}
type Come = Awaited<ReturnType<typeof imported>>;

/** A backup of before the CSP had anything. */
async function restoreEmpty({ store }: Side): Promise<void> {
  const db = onKeys(store.db);
  for (const table of [
    'keys_keks',
    'keys_holdings',
    'keys_history',
    'keys_consumers',
    'keys_imports',
    'keys_handovers',
    'keys_uses',
  ] as const)
    await db.deleteFrom(table).execute();
  await db
    .updateTable('keys_uses_head')
    .set({ n: 0, digest: '0'.repeat(64) })
    .execute();
}

async function dekAt({ keys, actor }: Side, { story, disk }: Come, key: string = disk.key): Promise<string> {
  const pair = await createHostKeyPair();
  const { vm, migration, epoch } = story.handover;
  const context = { domain: story.handover.target, host: hostName.parse('host-1'), vm, epoch, purpose: 'run' } as const;
  const grant = { principal: actor, reason: 'MIGRATION', migration } as const;
  const one = { key: key as typeof disk.key, version: 1 };
  const sealed = must(await keys.sealForHost({ context, keys: [one], publicKey: pair.publicKey, grant }));
  const [opened] = must(await openForHost(pair.privateKey, context, sealed));
  return Buffer.from(opened?.dek ?? []).toString('hex');
}

describe('a database that comes back without what was imported', () => {
  it('gets the keys back from their spares, active, with consumer, origin and the same bytes; again, it is nothing', async () => {
    const come = await imported();
    const before = await dekAt(b, come);
    const was = must(await b.keys.show(come.disk));
    await restoreEmpty(b);
    expect(await b.keys.missingOf(come.arrived)).toMatchObject([{ key: come.disk.key, arrival: 1 }]);
    expect(must(await record(b, await b.keys.bringBack(come.arrived)))).toHaveLength(1);
    const is = must(await b.keys.show(come.disk));
    for (const field of [
      'state',
      'origin',
      'provenance',
      'vm',
      'artifact',
      'imageRoot',
      'headerDigest',
      'consumers',
      'tenant',
    ] as const)
      expect(is[field], field).toEqual(was[field]);
    expect(await dekAt(b, come)).toBe(before);
    expect(is.historyChain).toBe('intact');
    const once = await snapshot(b);
    expect(must(await record(b, await b.keys.bringBack(come.arrived)))).toEqual([]);
    expect(await snapshot(b)).toBe(once);
    const { migration, epoch } = come.story.handover;
    must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    expect(must(await b.keys.show(come.disk)).state).toBe('destroyed');
    expect(sparesOf(b, come.disk.key)).toEqual([]);
  });

  it('gets the key back that took the place of another, and not that other one', async () => {
    const come = await imported();
    const wanted = { key: come.disk.key, version: 1, reason: 'slot', cause: someDigest() };
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    must(await within(b, (tx) => b.keys.endReplaced(tx, wanted)));
    const before = await dekAt(b, come, made.key);
    // Until that is durable, the old one may be needed again.
    expect(sparesOf(b, come.disk.key)).toHaveLength(2);
    await b.keys.eraseSpares([{ epoch: 1, keys: [come.disk.key], why: 'used' }]);
    expect(sparesOf(b, come.disk.key).map((file) => file.startsWith(made.key))).toEqual([true]);
    await restoreEmpty(b);
    const header = { headerDigest: someDigest() };
    const { artifact } = come.disk;
    const volume = {
      artifact,
      from: { key: come.disk.key, version: 1, ...header },
      to: { key: made.key, version: 1, ...header },
    };
    const arrived = { ...come.arrived, rekeyed: { digest: someDigest(), volumes: [volume] } };
    must(await record(b, await b.keys.bringBack(arrived)));
    expect(must(await b.keys.show(made))).toMatchObject({
      state: 'active',
      origin: 'generated',
      replaces: { key: come.disk.key },
    });
    expect(await dekAt(b, come, made.key)).toBe(before);
    expect(await b.keys.show(come.disk)).toMatchObject({ code: 'KEY_UNKNOWN' });
    // The VM goes back, or its copy is discarded: whose row is not here has a successor all the same.
    const { migration, epoch } = come.story.handover;
    const gone = must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    expect(gone).toEqual(expect.arrayContaining([come.disk.key, made.key]));
    expect(must(await b.keys.show(made)).state).toBe('destroyed');
    expect(sparesOf(b, come.disk.key)).toEqual([]);
  });

  it('has the old key again if its end was undone with the rest', async () => {
    const come = await imported();
    const wanted = { key: come.disk.key, version: 1, reason: 'slot', cause: someDigest() };
    must(await record(b, await b.keys.createReplacement(wanted)));
    must(await within(b, (tx) => b.keys.endReplaced(tx, wanted)));
    await restoreEmpty(b);
    must(await record(b, await b.keys.bringBack(come.arrived)));
    expect(must(await b.keys.show(come.disk)).state).toBe('active');
  });

  it('makes no second replacement for a volume that the host may have re-keyed already', async () => {
    const come = await imported();
    const wanted = { key: come.disk.key, version: 1, reason: 'slot', cause: someDigest() };
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    await restoreEmpty(b);
    must(await record(b, await b.keys.bringBack(come.arrived)));
    expect(must(await record(b, await b.keys.createReplacement(wanted))).key).toBe(made.key);
  });

  it('brings back nothing that was destroyed, and says what is missing', async () => {
    const come = await imported();
    must(await within(b, (tx) => b.keys.retire(tx, { ...retiring(come.story), epoch: 2 as never })));
    expect(sparesOf(b, come.disk.key)).toEqual([]);
    await restoreEmpty(b);
    const before = await snapshot(b);
    expect(await b.keys.bringBack(come.arrived)).toMatchObject({ ok: false, code: 'SPARE_MISSING' });
    expect((await snapshot(b)).replaceAll(/^keys_keks .*$/gm, '').trim()).toBe(before.trim());
  });
});

describe('a spare', () => {
  it('is there before the transaction commits, once however often it is tried, and ends with the attempt', async () => {
    const come = await arriving();
    const lost = new Error('the process dies here');
    const dying = b.store.db.transaction().execute(async (tx) => {
      must(await come.importing(tx));
      throw lost;
    });
    await expect(dying).rejects.toBe(lost);
    expect(must(await b.keys.show(come.disk)).state).toBe('pre-activation');
    expect(sparesOf(b, come.disk.key)).toHaveLength(1);
    must(await within(b, come.importing));
    expect(sparesOf(b, come.disk.key)).toHaveLength(1);
    const { migration, epoch } = come.story.handover;
    must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    expect(sparesOf(b, come.disk.key)).toEqual([]);
  });

  it('of an import that was undone goes when the VM is given back, though no row tells of it; another epoch’s stays', async () => {
    const come = await arriving();
    const undone = b.store.db.transaction().execute(async (tx) => {
      must(await come.importing(tx));
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    const wanted = { epoch: 1, keys: [come.disk.key], why: 'given-back' } as const;
    await restoreEmpty(b);
    await b.keys.settleSpares();
    expect(sparesOf(b, come.disk.key)).toHaveLength(1);
    await b.keys.eraseSpares([{ ...wanted, epoch: 2 }]);
    expect(sparesOf(b, come.disk.key)).toHaveLength(1);
    await b.keys.eraseSpares([wanted]);
    await b.keys.eraseSpares([wanted]);
    expect(sparesOf(b, come.disk.key)).toEqual([]);
  });

  it.each<readonly [string, string, (path: string, other: string) => void]>([
    ['torn', 'SPARE_BROKEN', (path) => writeFileSync(path, readFileSync(path).subarray(0, 200))],
    ['changed', 'SPARE_BROKEN', (path) => writeFileSync(path, readFileSync(path, 'utf8').replace('"arrival":1', '"arrival":2'))],
    ['of another key under its name', 'SPARE_BROKEN', (path, other) => renameSync(other, path)],
    ['changed by who makes its digest anew', 'KEY_UNOPENABLE', (path, other) => forge(path, other, 'dek')],
    ['with a KEK of elsewhere', 'KEK_UNOPENABLE', (path, other) => forge(path, other, 'kek')],
  ])('%s is refused, and nothing is written', async (_, code, spoil) => {
    const [come, other] = [await imported(), await imported()];
    const pathOf = ({ disk }: Come) => join(dirOf(b), sparesOf(b, disk.key)[0] ?? '');
    spoil(pathOf(come), pathOf(other));
    await restoreEmpty(b);
    const before = await snapshot(b);
    expect(await b.keys.bringBack(come.arrived)).toMatchObject({ ok: false, code });
    expect((await snapshot(b)).replaceAll(/^keys_keks .*$/gm, '').trim()).toBe(before.trim());
  });

  it('is readable by its owner only, and what a crash left half written is swept', async () => {
    await imported();
    expect(statSync(dirOf(b)).mode & 0o077).toBe(0);
    for (const file of readdirSync(dirOf(b))) expect(statSync(join(dirOf(b), file)).mode & 0o777).toBe(0o600);
    writeFileSync(join(dirOf(b), '.half'), '{');
    await openSpares(dirOf(b), () => new Uint8Array(8));
    expect(readdirSync(dirOf(b))).not.toContain('.half');
  });

  it('is made again where it is missing, and follows a rotation', async () => {
    const come = await imported();
    const { keys } = b;
    await keys.settleSpares();
    const [first = ''] = sparesOf(b, come.disk.key);
    renameSync(join(dirOf(b), first), join(b.dir, 'elsewhere'));
    expect(await keys.settleSpares()).toEqual({ made: 1, erased: 0 });
    expect(sparesOf(b, come.disk.key)).toEqual([first]);
    must(await keys.rotateKek({ tenant: TENANT, actor: 'olga', reason: 'yearly' }));
    await keys.settleSpares();
    const after = sparesOf(b, come.disk.key);
    expect([after.length, after[0] === first]).toEqual([1, false]);
    expect(await keys.settleSpares()).toEqual({ made: 0, erased: 0 });
  });
});

/** Whoever can write the file: `kek` or the wrapped DEK of another spare, with a digest that fits. */
function forge(path: string, other: string, part: 'dek' | 'kek'): void {
  const [mine, theirs] = [path, other].map((one) => {
    const name = nameFrom(one.split('/').at(-1) ?? '');
    const spare = name === undefined ? undefined : decodeSpare(readFileSync(one, 'utf8'), name);
    if (spare === undefined) throw new Error('no spare');
    return spare;
  });
  if (mine === undefined || theirs === undefined) throw new Error('no spare');
  const wrapped =
    part === 'dek' ? theirs.dek.wrapped : Buffer.from(mine.kek.wrapped, 'base64').fill(7, 20, 24).toString('base64');
  const forged = part === 'dek' ? { ...mine, dek: { ...mine.dek, wrapped } } : { ...mine, kek: { ...mine.kek, wrapped } };
  expect(fileNameOf(nameOf(forged))).toBe(fileNameOf(nameOf(mine)));
  writeFileSync(path, encodeSpare(forged));
}
