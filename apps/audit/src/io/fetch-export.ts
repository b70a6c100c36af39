import { type FileHandle, link, open, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { type Context, connectBroker } from '@carnet/publisher';
import { AuditError, EXIT } from '../exit.ts';
import { indexExport } from './export-file.ts';

/**
 * Takes a broker's export down to a file that must not exist yet, readable by its owner only. A cut stream leaves nothing behind.
 *
 * @throws AuditError BROKER_FAILED, FILE_UNREADABLE
 */
export async function fetchExport(context: Context, path: string, peer: string | undefined): Promise<void> {
  const file = await create(path);
  const broker = connectBroker(context.address);
  try {
    const query = peer === undefined ? '' : `?peer=${encodeURIComponent(peer)}`;
    // A full disk and a slow one are the stream's business: nothing piles up in memory.
    await pipeline(terminated(broker.lines(`/v1/export${query}`)), file.createWriteStream({ flush: true }));
  } catch (cause) {
    await rm(path, { force: true });
    throw failureOf(context, cause);
  } finally {
    broker.close();
  }
}

async function* terminated(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}

async function create(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (cause) {
    throw new AuditError('FILE_UNREADABLE', EXIT.failed, `${path} cannot be written`, cause);
  }
}

function failureOf({ address }: Context, cause: unknown): AuditError {
  const text = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new AuditError('BROKER_FAILED', EXIT.failed, `${address.url}: ${text}`, cause);
}

/**
 * The export as a file of its own: whole, synced and looked through, or not there at all.
 *
 * @returns how many ledgers it holds
 * @throws AuditError EXPORT_EXISTS, BROKER_FAILED, EXPORT_TRUNCATED, EXPORT_MALFORMED, FILE_UNREADABLE
 */
export async function writeExport(context: Context, path: string, peer: string | undefined): Promise<number> {
  const draft = `${path}.${process.pid}.part`;
  await fetchExport(context, draft, peer);
  try {
    const { stretches } = await indexExport(draft, path);
    // A link, unlike a rename, never replaces what is there.
    await link(draft, path);
    return stretches.length;
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')
      throw new AuditError('EXPORT_EXISTS', EXIT.usage, `${path} exists`, cause);
    throw cause;
  } finally {
    await rm(draft, { force: true });
  }
}
