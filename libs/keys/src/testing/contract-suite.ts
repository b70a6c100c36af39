import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostKeyPair, openForHost } from '../hosts.ts';
import { onKeys } from '../records/tables.ts';
import {
  begin,
  holdsSecret,
  must,
  openSide,
  record,
  released,
  type Side,
  type SideOptions,
  type Story,
  snapshot,
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

/** DEKs of a story as a host of this side gets them, by SHA-256: a failing test must not print a key. */
export async function deksAt(side: Side, story: Story, purpose: Purpose): Promise<readonly string[]> {
  return (await rawDeksAt(side, story, purpose)).map((dek) => createHash('sha256').update(dek).digest('hex'));
}

export async function rawDeksAt(side: Side, { handover, keys }: Story, purpose: Purpose): Promise<readonly Buffer[]> {
  const host = await createHostKeyPair();
  const context = { domain: handover.target, host: 'h1', vm: handover.vm, epoch: handover.epoch, purpose } as const;
  const disks = keys.filter(({ kind }) => kind === 'disk');
  const sealed = must(await side.keys.sealForHost({ context, keys: disks, publicKey: host.publicKey }));
  return must(await openForHost(host.privateKey, context, sealed)).map(({ dek }) => dek);
}

/** Release opened and imported at B. */
export async function imported(a: Side, b: Side, story: Story) {
  const handed = await released(a, b, story);
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
      const { migration, epoch } = story.handover;
      const { request } = await imported(a, b, story);
      // Asked again, as after a crash, it is the same import.
      must(await record(b, await b.keys.openRelease(request)));
      expect(await deksAt(b, story, 'run')).toEqual(deks);
      must(await within(a, (tx) => a.keys.retire(tx, { migration, epoch })));
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

    it('a rotated tenant KEK opens the same keys', async () => {
      const story = await begin(a, b);
      const deks = await deksAt(a, story, 'trial-unlock');
      must(await a.keys.rotateKek(TENANT));
      expect(await deksAt(a, story, 'trial-unlock')).toEqual(deks);
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
      expect(await a.keys.sealForHost({ context, keys: disks, publicKey: host.publicKey })).toMatchObject({
        code: 'KEY_UNOPENABLE',
      });
      expect(await snapshot(a)).toBe(before);
    });
  });
}
