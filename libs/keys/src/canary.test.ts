import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startKeyProcess } from './child/pool.ts';
import { type KeyChild, spawnChild } from './child/spawn.ts';
import { createHostKeyPair, openForHost } from './hosts.ts';
import { onKeys } from './records/tables.ts';
import { openRootFile } from './root-file.ts';
import {
  begin,
  granted,
  holdsSecret,
  must,
  openSide,
  record,
  released,
  type Side,
  snapshot,
  within,
} from './testing/two-sides.ts';

let a: Side;
let b: Side;
/** What the system shows of each child while it lives: arguments and environment. */
const seen: Buffer[] = [];
const look = (child: KeyChild): void => {
  for (const file of ['cmdline', 'environ']) {
    try {
      seen.push(readFileSync(`/proc/${child.pid}/${file}`));
    } catch {
      seen.push(Buffer.alloc(0)); // gone already
    }
  }
};
const watched = () =>
  startKeyProcess(() => {
    const child = spawnChild();
    child.stdout.once('data', () => look(child));
    child.once('spawn', () => look(child));
    return child;
  });

beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: watched() }), openSide({ process: watched() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

const filesUnder = (dir: string): readonly Buffer[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path));

it('no DEK and no root key shows in a database, file, event, error, argument or environment', async () => {
  const said: unknown[] = [];
  const story = await begin(a, b);
  const host = await createHostKeyPair();
  const context = {
    domain: story.handover.source,
    host: 'h1',
    vm: story.handover.vm,
    epoch: 1,
    purpose: 'trial-unlock',
  } as const;
  const sealed = must(await a.keys.sealForHost({ context, keys: story.keys, publicKey: host.publicKey, grant: granted(story) }));
  const deks = must(await openForHost(host.privateKey, context, sealed)).map(({ dek }) => dek);
  const process = startKeyProcess();
  const roots: Buffer[] = [];
  for (const side of [a, b]) {
    const unlock = { kind: 'file', path: join(side.dir, 'passphrase') } as const;
    roots.push(must(await openRootFile({ path: join(side.dir, 'root.json'), unlock, process })));
  }
  process.close();
  const { release, acknowledged, deposit, roots: artifacts } = await released(a, b, story);
  said.push(sealed, release, acknowledged, deposit);
  const { migration, epoch } = story.handover;
  const request = { migration, epoch, release, acknowledged: acknowledged.digest, roots: artifacts };
  said.push(await record(b, await b.keys.openRelease(request)));
  said.push(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));

  // Then the failures: rows changed under the service must give codes, and nothing of what they held.
  await onKeys(a.store.db)
    .updateTable('keys_deposits')
    .set({ secrets: Buffer.alloc(128).toString('base64') })
    .execute();
  await onKeys(b.store.db)
    .updateTable('keys_keks')
    .set({ wrapped: Buffer.alloc(60).toString('base64') })
    .execute();
  const broken = await b.keys.sealForHost({ context, keys: story.keys, publicKey: host.publicKey, grant: granted(story) });
  expect(broken).toMatchObject({ ok: false, code: 'KEK_UNOPENABLE' });
  said.push(broken, await begin(a, b).catch((error: unknown) => String(error)));
  for (const key of story.keys) said.push(await a.keys.show(key), await b.keys.show(key));

  const everything = [
    Buffer.from(JSON.stringify(said)),
    Buffer.from(await snapshot(a)),
    Buffer.from(await snapshot(b)),
    ...seen,
    ...filesUnder(a.dir),
    ...filesUnder(b.dir),
  ];
  expect(deks).toHaveLength(2);
  expect(
    seen.some((bytes) => bytes.includes('main.ts')),
    'children were looked at',
  ).toBe(true);
  for (const secret of [...deks, ...roots]) expect(everything.filter((bytes) => holdsSecret(bytes, secret))).toEqual([]);
  const canary = Buffer.concat([Buffer.from('somewhere '), deks[0] ?? Buffer.alloc(0)]);
  expect(holdsSecret(canary, deks[0] ?? Buffer.alloc(1)), 'the search finds what is there').toBe(true);
}, 120_000);
