import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createDatabase, scratch, startPostgres } from '@carnet/dev';
import { artifactId, keyId } from '@carnet/events';
import { wiper } from '../../libs/keys/src/bytes.ts';
import { startKeyProcess } from '../../libs/keys/src/child/pool.ts';
import { onKeys } from '../../libs/keys/src/records/tables.ts';
import { openRootFile } from '../../libs/keys/src/root-file.ts';
import { must, NOW, openSide, type Side } from '../../libs/keys/src/testing/two-sides.ts';
import { keyRoot } from '../../libs/keys/src/vault/custody.ts';
import { createKek, openKek, tenant, wrapDek } from '../../libs/keys/src/vault/hierarchy.ts';
import { type BenchCase, benchCase } from './result.ts';

/** Rows of one insert. */
const ROWS = 2_000;
const PROJECT = tenant.parse('many');

/** A project's KEK is rotated while so many DEKs lie under it: whole calls of the key manager, to the count that finds none left. */
export async function rotationCase(deks: number): Promise<BenchCase> {
  const postgres = await startPostgres({ dir: join(scratch('brot'), 'pg') });
  const side = await openSide({ target: { url: await createDatabase(postgres.url, 'keys') } });
  await fill(side, deks);
  const request = { tenant: PROJECT, actor: 'bench', reason: 'bench' };
  const startMs = performance.now();
  const rotated = must(await side.keys.rotateKek(request));
  const seconds = (performance.now() - startMs) / 1_000;
  if (!rotated.done || rotated.left !== 0 || rotated.deks !== deks)
    throw new Error(`not all re-wrapped: ${JSON.stringify(rotated)}`);
  process.stderr.write(`rotation of ${deks} DEKs: ${seconds.toFixed(1)} s\n`);
  await side.close();
  await postgres.stop();
  const rate = deks / seconds;
  return benchCase(
    `re-wrap ${deks} DEKs under a new KEK`,
    'DEKs/s',
    'higher',
    { name: 'sealed file', values: [rate], median: rate },
    [],
  );
}

/** As many `createDek` would have left, without an hour of them: real DEKs under the project's first KEK. */
async function fill(side: Side, deks: number): Promise<void> {
  using wipe = wiper();
  const child = startKeyProcess();
  const unlock = { kind: 'file', path: join(side.dir, 'passphrase') } as const;
  const root = keyRoot(wipe.keep(must(await openRootFile({ path: join(side.dir, 'root.json'), unlock, process: child }))));
  child.close();
  const kek = createKek(root, { tenant: PROJECT, version: 1 }, randomBytes);
  const opened = openKek(root, kek, wipe);
  if (!opened.ok) throw new Error(opened.code);
  const db = onKeys(side.store.db);
  await db
    .insertInto('keys_keks')
    .values({ ...kek, created_at: NOW, destroyed_at: null })
    .execute();
  for (let done = 0; done < deks; done += ROWS) {
    const rows = Array.from({ length: Math.min(ROWS, deks - done) }, () => {
      const holding = { tenant: PROJECT, key: keyId.parse(randomUUID()), version: 1, arrival: 0 };
      const { wrapped } = wrapDek(opened.value, 1, holding, randomBytes(32), randomBytes);
      return { ...holding, ...COLUMNS, artifact: artifactId.parse(randomUUID()), wrapped };
    });
    await db.insertInto('keys_holdings').values(rows).execute();
  }
}

const COLUMNS = {
  vm: null,
  kind: 'disk',
  derivation: 'luks-passphrase-hex',
  capacity_bytes: '1073741824',
  header_digest: null,
  state: 'active',
  origin: 'generated',
  provenance: null,
  replaces: null,
  used_by: null,
  sealed_by: null,
  kek_version: 1,
  secret: null,
  image_root: null,
  created_at: NOW,
  changed_at: NOW,
} as const;
