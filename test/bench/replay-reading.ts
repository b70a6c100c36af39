import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type Digest, digest } from '@carnet/events';
import type { Ledger } from '@carnet/journal';
import { pae, sha256Hex } from '@carnet/trust';
import type { Selectable } from 'kysely';
import type { JournalDb } from '../../libs/journal/src/ledgers.ts';
import type { EventRow } from '../../libs/journal/src/tables.ts';

export type Row = Selectable<EventRow>;

/** Rows of one statement. */
export const PAGE_ROWS = 1_000;
/** Pages asked for ahead: the database, and the threads that verify, work while we do. */
const PAGES_AHEAD = 3;

/** A ledger in pages, `each` page prepared while those before it are still worked on. */
export async function* pages<T>(
  db: JournalDb,
  ledger: Ledger,
  each: (rows: readonly Row[]) => T | Promise<T>,
): AsyncGenerator<{ readonly rows: readonly Row[]; readonly made: T }> {
  const read = async (from: number) => {
    const rows = await readPage(db, ledger, from);
    return { rows, made: await each(rows) };
  };
  const ahead = Array.from({ length: PAGES_AHEAD }, (_, page) => read(page * PAGE_ROWS));
  for (let from = PAGES_AHEAD * PAGE_ROWS; ; from += PAGE_ROWS) {
    const page = await ahead.shift();
    if (page === undefined || page.rows.length === 0) break;
    ahead.push(read(from));
    yield page;
  }
  await Promise.all(ahead);
}

const readPage = (db: JournalDb, { publisher, audience }: Ledger, after: number): Promise<readonly Row[]> =>
  db
    .selectFrom('events')
    .selectAll()
    .where('publisher', '=', publisher)
    .where('audience', '=', audience)
    .where('seq', '>', after)
    .where('seq', '<=', after + PAGE_ROWS)
    .orderBy('seq')
    .execute();

/** SubjectPublicKeyInfo of an Ed25519 key (RFC 8410): this prefix and 32 bytes. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
export const publicKeyOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });

/** Verifies a page's signatures in libuv's threads; answers the digests of those that hold. All else is left to `admit`. */
export async function verifiedInThreads(rows: readonly Row[], key: KeyObject): Promise<ReadonlySet<Digest>> {
  const verdicts = await Promise.all(rows.map(({ envelope }) => holds(envelope, key)));
  return new Set(rows.flatMap(({ envelope }, index) => (verdicts[index] === true ? [sha256Hex(envelope)] : [])));
}

const holds = (envelope: Uint8Array, key: KeyObject): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const { payloadType, payload, signatures } = JSON.parse(Buffer.from(envelope).toString());
    const message = pae(String(payloadType), Buffer.from(String(payload), 'base64'));
    verify(null, message, key, Buffer.from(String(signatures[0].sig), 'base64'), (error, ok) =>
      error === null ? resolve(ok) : reject(error),
    );
  });

/** The ledger's end as the database has it. In a run it stands for the head that the peer signed, whose signature was verified. */
export async function endOf(db: JournalDb, { publisher, audience }: Ledger): Promise<Digest> {
  const row = await db
    .selectFrom('ledgers')
    .select('head_digest')
    .where('publisher', '=', publisher)
    .where('audience', '=', audience)
    .executeTakeFirstOrThrow();
  return digest.parse(row.head_digest);
}
