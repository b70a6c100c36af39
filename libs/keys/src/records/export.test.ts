import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { artifactId, GENESIS, PAYLOAD_TYPES } from '@carnet/events';
import { ed25519Signer, ed25519Verifier, openEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HISTORY_PAGE } from '../limits.ts';
import { inlineProcess, must, NOW, openSide, record, type Side, TENANT, within } from '../testing/two-sides.ts';
import { isChained } from './chain.ts';
import type { ExportedLine } from './export.ts';
import { onKeys } from './tables.ts';

let side: Side;
beforeAll(async () => {
  side = await openSide({ process: inlineProcess() });
}, 60_000);
afterAll(() => side?.close());

async function exported(): Promise<readonly ExportedLine[]> {
  const lines: ExportedLine[] = [];
  for await (const line of side.keys.historyLines()) lines.push(line);
  return lines;
}

it('a compromise of a key that nobody else ever held is shown, chained and signed as the auditor verifies it', async () => {
  const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const { key } = must(
    await record(
      side,
      await side.keys.createDek({
        tenant: TENANT,
        artifact: artifactId.parse(randomUUID()),
        kind: 'disk',
        derivation: 'luks-passphrase-hex',
        capacityBytes: 1_073_741_824,
        reason: 'test',
      }),
    ),
  );
  const change = { verb: 'compromise', principal: 'eve', reason: 'laptop stolen', code: 'key-compromise' } as const;
  must(await within(side, (tx) => side.keys.operate(tx, { key, version: 1, signer, ...change })));
  const lines = (await exported()).filter((line) => line.key === key);
  expect(isChained(lines)).toBe(true);
  const { signature, digest: _, ...said } = lines.at(-1) ?? {};
  expect(said).toMatchObject({ to_state: 'compromised', actor: 'eve', reason: 'laptop stolen', at: NOW });
  const verifier = ed25519Verifier(signer.publicKey);
  const opened = openEnvelope(Buffer.from(JSON.stringify(signature)), PAYLOAD_TYPES.keyChange, () => verifier);
  if (!opened.ok) throw new Error(opened.code);
  expect(JSON.parse(Buffer.from(opened.value.payload).toString('utf8'))).toEqual(said);
});

it('every line once, each key in its own order, over more than one page', async () => {
  const keys = [randomUUID(), randomUUID()];
  const line = { from_state: null, to_state: 'active', at: NOW, actor: 'a', reason: 'b', cause: null, prev: GENESIS };
  const all = keys.flatMap((key) =>
    [1, 2].flatMap((version) =>
      [0, 7].flatMap((arrival) =>
        Array.from({ length: HISTORY_PAGE / 4 + 3 }, (_, i) => ({ ...line, key, version, arrival, position: i + 1 })),
      ),
    ),
  );
  const rows = all.map((row) => ({ ...row, digest: GENESIS, signature: null }));
  await onKeys(side.store.db).insertInto('keys_history').values(rows.toReversed()).execute();
  const shown = (await exported()).filter(({ key }) => keys.some((one) => one === key));
  const byKey = rows.toSorted((a, b) => (a.key === b.key ? 0 : a.key < b.key ? -1 : 1));
  expect(shown).toEqual(byKey);
});
