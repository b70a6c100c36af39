import { createHash, generateKeyPairSync } from 'node:crypto';
import { ed25519Signer } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostKeyPair, openForHost } from '../hosts.ts';
import type { KeyVerb } from '../operate.ts';
import { onKeys } from '../records/tables.ts';
import {
  begin,
  deposited,
  granted,
  holdsSecret,
  must,
  openSide,
  record,
  released,
  retiring,
  type Side,
  type SideOptions,
  type Story,
  snapshot,
  someDigest,
  TENANT,
  within,
} from './two-sides.ts';

/** One key manager of a CSP, however its keys are kept, and how to look whether one is really there. */
export type BackendUnderTest = {
  readonly options: SideOptions;
  /** How many copies of this side's DEKs lie outside its database. */
  readonly copiesOutside: () => Promise<number>;
};

type Purpose = 'run' | 'trial-unlock';

const EVE = 'spiffe://csp-a.example/custodian';
const ROTATION = { tenant: TENANT, actor: EVE, reason: 'yearly' };
const SIGNER = ed25519Signer(generateKeyPairSync('ed25519').privateKey);

/** DEKs of a story as a host of this side gets them, by SHA-256: a failing test must not print a key. */
export async function deksAt(side: Side, story: Story, purpose: Purpose): Promise<readonly string[]> {
  return (await rawDeksAt(side, story, purpose)).map((dek) => createHash('sha256').update(dek).digest('hex'));
}

export async function rawDeksAt(side: Side, story: Story, purpose: Purpose): Promise<readonly Buffer[]> {
  const { handover, keys } = story;
  const host = await createHostKeyPair();
  const context = { domain: handover.target, host: 'h1', vm: handover.vm, epoch: handover.epoch, purpose } as const;
  const disks = keys.filter(({ kind }) => kind === 'disk');
  const sealed = must(
    await side.keys.sealForHost({ context, keys: disks, publicKey: host.publicKey, grant: granted(story, side.actor) }),
  );
  return must(await openForHost(host.privateKey, context, sealed)).map(({ dek }) => dek);
}

/** As {@link deksAt}, for what is refused. */
async function sealAt(side: Side, story: Story) {
  const { handover, keys } = story;
  const { publicKey } = await createHostKeyPair();
  const context = { domain: handover.target, host: 'h1', vm: handover.vm, epoch: handover.epoch, purpose: 'run' } as const;
  const disks = keys.filter(({ kind }) => kind === 'disk');
  return side.keys.sealForHost({ context, keys: disks, publicKey, grant: granted(story, side.actor) });
}

/** Release opened and imported at B. */
export async function imported(a: Side, b: Side, story: Story, before?: Awaited<ReturnType<typeof deposited>>) {
  const handed = await released(a, b, story, before);
  const { migration, epoch } = story.handover;
  const { release, acknowledged, roots } = handed;
  const request = { migration, epoch, release, acknowledged: acknowledged.digest, roots };
  must(await record(b, await b.keys.openRelease(request)));
  must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
  return { ...handed, request };
}

/** What every way of keeping keys must do: for one of each side, as `open` makes them. */
export function keyManagerContract(
  name: string,
  open: () => Promise<{ readonly a: BackendUnderTest; readonly b: BackendUnderTest }>,
): void {
  describe(`keys: ${name}`, () => {
    let under: Awaited<ReturnType<typeof open>>;
    let a: Side;
    let b: Side;
    beforeAll(async () => {
      under = await open();
      a = await openSide({ ...under.a.options, domain: 'csp-a.example' });
      b = await openSide({ ...under.b.options, domain: 'csp-b.example' });
    });
    afterAll(async () => {
      await a?.close();
      await b?.close();
    });

    it('gives a host the same key every time, and keeps none in the clear', async () => {
      const story = await begin(a, b);
      const deks = await rawDeksAt(a, story, 'trial-unlock');
      expect(await deksAt(a, story, 'run')).toEqual(await deksAt(a, story, 'trial-unlock'));
      const rows = Buffer.from(await snapshot(a));
      for (const dek of deks) expect(holdsSecret(rows, dek)).toBe(false);
    });

    it('hands a key over, keeps it at the target and no copy at the source', async () => {
      const [atA, atB] = [await under.a.copiesOutside(), await under.b.copiesOutside()];
      const story = await begin(a, b);
      const deks = await deksAt(a, story, 'trial-unlock');
      const { migration } = story.handover;
      const { request } = await imported(a, b, story);
      // Asked again, as after a crash, it is the same import.
      must(await record(b, await b.keys.openRelease(request)));
      expect(await deksAt(b, story, 'run')).toEqual(deks);
      must(await within(a, (tx) => a.keys.retire(tx, retiring(story))));
      expect(await a.keys.settleSecrets()).toMatchObject({ refused: [] });
      expect(await b.keys.settleSecrets()).toMatchObject({ refused: [] });
      expect(await under.a.copiesOutside()).toBe(atA);
      expect(await deksAt(b, story, 'run')).toEqual(deks);
      const kept = (await under.b.copiesOutside()) - atB;
      expect([0, story.keys.length]).toContain(kept);
      const [first] = story.keys;
      if (first === undefined) throw new Error('a story has keys');
      expect(must(await b.keys.show(first)).provenance).toMatchObject({ migration, source: 'csp-a.example' });
    });

    it('a discarded import leaves no copy', async () => {
      const before = await under.b.copiesOutside();
      const story = await begin(a, b);
      const { migration, epoch } = story.handover;
      const { release, acknowledged, roots } = await released(a, b, story);
      must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
      must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
      expect(await b.keys.settleSecrets()).toMatchObject({ refused: [] });
      expect(await under.b.copiesOutside()).toBe(before);
    });

    it('a rotated tenant KEK opens the same keys, and none is left under the old one; an open hand-over goes on', async () => {
      const story = await begin(a, b);
      const deks = await deksAt(a, story, 'trial-unlock');
      const before = await deposited(a, b, story);
      for (const side of [a, b]) {
        const rotated = must(await side.keys.rotateKek(ROTATION));
        expect(rotated).toMatchObject({ left: 0, done: true });
        expect(rotated.destroyed).toContain(rotated.version - 1);
        const held = await side.keys.list({});
        expect(held.every(({ kekVersion }) => kekVersion === undefined || kekVersion === rotated.version)).toBe(true);
        expect([0, held.filter(({ kekVersion }) => kekVersion !== undefined).length]).toContain(rotated.outside);
      }
      expect(await deksAt(a, story, 'trial-unlock')).toEqual(deks);
      await imported(a, b, story, before);
      expect(await deksAt(b, story, 'run')).toEqual(deks);
    });

    it('an operator’s steps and the uses between them: suspended for everyone, not destroyed while needed, then gone for good', async () => {
      const before = await under.a.copiesOutside();
      const story = await begin(a, b);
      const deks = await deksAt(a, story, 'run');
      const [disk] = story.keys;
      if (disk === undefined) throw new Error('a story has keys');
      const act = (verb: KeyVerb) =>
        within(a, (tx) => {
          const { key, version } = disk;
          return a.keys.operate(tx, { key, version, verb, principal: EVE, reason: 'test', code: 'unspecified', signer: SIGNER });
        });
      must(await act('suspend'));
      expect(await sealAt(a, story)).toMatchObject({ code: 'PURPOSE_REFUSED' });
      must(await act('resume'));
      expect(await deksAt(a, story, 'run')).toEqual(deks);
      const uses = await a.keys.usesOf(disk.key);
      expect(uses.map(({ operation, principal, reason }) => [operation, principal, reason])).toEqual([
        ['run', a.actor, 'MIGRATION'],
        ['run', a.actor, 'MIGRATION'],
      ]);
      expect(await a.keys.verifyUses()).toMatchObject({ intact: true });
      must(await act('deactivate'));
      const needed = await snapshot(a);
      expect(await act('destroy')).toMatchObject({ code: 'KEY_IN_USE', got: `vm:${story.handover.vm}` });
      expect(await snapshot(a)).toBe(needed);
      await a.store.db.transaction().execute((tx) => a.keys.removeConsumer(tx, disk.key, `vm:${story.handover.vm}`));
      must(await act('destroy'));
      const view = must(await a.keys.show(disk));
      expect([view.state, view.kekVersion, view.historyChain]).toEqual(['destroyed', undefined, 'intact']);
      expect(await sealAt(a, story)).toMatchObject({ code: 'PURPOSE_REFUSED' });
      expect(await a.keys.settleSecrets()).toMatchObject({ refused: [] });
      // The story's other key is still held, and nothing else.
      expect([0, story.keys.length - 1]).toContain((await under.a.copiesOutside()) - before);
    });

    it('a replacement made before a rotation and recorded after it is made anew, and takes the place of the old key', async () => {
      const story = await begin(a, b);
      await imported(a, b, story);
      const disk = story.keys.find(({ kind }) => kind === 'disk');
      if (disk === undefined) throw new Error('a story has a disk');
      const wanted = { key: disk.key, version: disk.version, reason: 're-keyed on arrival', cause: someDigest() };
      const late = must(await b.keys.createReplacement(wanted));
      const { version } = must(await b.keys.rotateKek(ROTATION));
      await expect(within(b, late.record)).rejects.toMatchObject({ code: 'KEK_DESTROYED', retryable: true });
      const made = must(await record(b, await b.keys.createReplacement(wanted)));
      expect(made).toMatchObject({ state: 'active', kekVersion: version });
      const replaced = { ...story, keys: [{ ...disk, key: made.key }] };
      const [old, fresh] = [await deksAt(b, story, 'run'), await deksAt(b, replaced, 'run')];
      expect(fresh).not.toEqual(old);
      must(await within(b, (tx) => b.keys.endReplaced(tx, wanted)));
      expect(await b.keys.settleSecrets()).toMatchObject({ refused: [] });
      expect(await deksAt(b, replaced, 'run')).toEqual(fresh);
      expect(await sealAt(b, story)).toMatchObject({ code: 'PURPOSE_REFUSED' });
    });

    it('a row that was moved to another key opens nothing', async () => {
      const [mine, other] = [await begin(a, b), await begin(a, b)];
      const [from, to] = [mine.keys[0]?.key ?? '', other.keys[0]?.key ?? ''];
      const db = onKeys(a.store.db);
      const row = await db
        .selectFrom('keys_holdings')
        .select(['kek_version', 'wrapped', 'secret'])
        .where('key', '=', from)
        .executeTakeFirstOrThrow();
      await db.updateTable('keys_holdings').set(row).where('key', '=', to).execute();
      const host = await createHostKeyPair();
      const { vm, target } = other.handover;
      const context = { domain: target, host: 'h1', vm, epoch: 1, purpose: 'run' } as const;
      const disks = other.keys.filter(({ kind }) => kind === 'disk');
      const before = await snapshot(a);
      const grant = granted(other, a.actor);
      expect(await a.keys.sealForHost({ context, keys: disks, publicKey: host.publicKey, grant })).toMatchObject({
        code: 'KEY_UNOPENABLE',
      });
      expect(await snapshot(a)).toBe(before);
    });
  });
}
