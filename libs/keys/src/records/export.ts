import { digest, dsseEnvelope, keyId, timestamp } from '@carnet/events';
import { z } from 'zod';
import { HISTORY_PAGE } from '../limits.ts';
import { keyState } from './states.ts';
import type { KeysDb } from './tables.ts';

/** A line of a key's history with all that its digest covers, for whoever verifies it elsewhere. `signature`: of an operator's change. */
export const chainedLine = z
  .strictObject({
    key: keyId,
    version: z.int().min(1),
    arrival: z.int().min(0),
    position: z.int().min(1),
    from_state: keyState.nullable(),
    to_state: keyState,
    at: timestamp,
    actor: z.string(),
    reason: z.string(),
    cause: digest.nullable(),
    prev: digest,
    digest,
    signature: dsseEnvelope.nullable(),
  })
  .readonly();
export type ExportedLine = z.infer<typeof chainedLine>;

/** The whole history of every key, each in its own order. */
export async function* historyLines(db: KeysDb): AsyncGenerator<ExportedLine> {
  let last: Pick<ExportedLine, 'key' | 'version' | 'arrival' | 'position'> | undefined;
  do {
    const page = await pageAfter(db, last);
    for (const row of page) {
      const line = chainedLine.parse({ ...row, signature: row.signature === null ? null : JSON.parse(row.signature) });
      yield line;
      last = line;
    }
    if (page.length < HISTORY_PAGE) return;
  } while (last !== undefined);
}

function pageAfter(db: KeysDb, last: Pick<ExportedLine, 'key' | 'version' | 'arrival' | 'position'> | undefined) {
  const all = db
    .selectFrom('keys_history')
    .selectAll()
    .orderBy('key')
    .orderBy('version')
    .orderBy('arrival')
    .orderBy('position')
    .limit(HISTORY_PAGE);
  if (last === undefined) return all.execute();
  const { key, version, arrival, position } = last;
  return all
    .where(({ and, or, eb }) =>
      or([
        eb('key', '>', key),
        and([eb('key', '=', key), eb('version', '>', version)]),
        and([eb('key', '=', key), eb('version', '=', version), eb('arrival', '>', arrival)]),
        and([eb('key', '=', key), eb('version', '=', version), eb('arrival', '=', arrival), eb('position', '>', position)]),
      ]),
    )
    .execute();
}
