import { expect, it } from 'vitest';
import { type HeadFile, openHeadFile } from './head-file.ts';
import { openJournal } from './journal.ts';
import { DRAFTS_MAX, PUBLISH_BATCH_MAX } from './limits.ts';
import { openOutbox } from './outbox.ts';
import { twoStores } from './testing/stores.ts';
import { A, B, decide, journalOptions, openTestStore, refusal, temporaryDir } from './testing/world.ts';

let close = async (): Promise<void> => undefined;
const store = twoStores(openTestStore, () => close());

it('a replica with an empty head file keeps and tells no more than the file may hold, however much is waiting', async () => {
  const { journal, parts } = await openJournal(journalOptions(store(0), A, [B]));
  close = journal.close;
  const reasons = Array.from({ length: DRAFTS_MAX }, (_, i) => refusal(`no room ${i}`));
  for (let said = 0; said < 2 * PUBLISH_BATCH_MAX; said += reasons.length) await journal.append(B, decide(...reasons));
  const [own] = await journal.heads();
  expect(Number(own?.head?.seq)).toBeGreaterThan(2 * PUBLISH_BATCH_MAX);

  const file = await openHeadFile(temporaryDir(), B);
  const small: HeadFile = { ...file, isFull: () => file.known() !== null };
  const outbox = openOutbox(parts, B, small);
  expect((await outbox.tellableHead())?.seq).toBe(PUBLISH_BATCH_MAX);
  expect((await file.read()).told?.seq).toBe(String(PUBLISH_BATCH_MAX));
  expect(Number((await file.read()).events.at(-1)?.seq ?? 0)).toBeLessThanOrEqual(PUBLISH_BATCH_MAX);
  // Asked again, and asked for events: no further.
  expect((await outbox.tellableHead())?.seq).toBe(PUBLISH_BATCH_MAX);
  const outgoing = await outbox.after(0, 2 * PUBLISH_BATCH_MAX);
  expect(outgoing.at(-1)?.seq).toBe(PUBLISH_BATCH_MAX);

  // Without that bound everything may be told.
  const roomy = openOutbox(parts, B, await openHeadFile(temporaryDir(), B));
  expect((await roomy.tellableHead())?.seq).toBe(Number(own?.head?.seq));
});
