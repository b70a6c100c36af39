import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { connectBroker } from '@carnet/publisher';
import { AuditError, EXIT } from '../exit.ts';
import type { AuditContext } from './context.ts';
import { indexExport } from './export-file.ts';

/**
 * Takes a broker's export down to a file that must not exist yet, readable by its owner only. A cut stream leaves nothing behind.
 *
 * @throws AuditError BROKER_FAILED
 */
export async function fetchExport(context: AuditContext, path: string, peer: string | undefined): Promise<void> {
  const broker = connectBroker(context.address);
  const out = createWriteStream(path, { flags: 'wx', mode: 0o600 });
  try {
    const query = peer === undefined ? '' : `?peer=${encodeURIComponent(peer)}`;
    for await (const line of broker.lines(`/v1/export${query}`)) await write(out, `${line}\n`);
    out.end();
    await once(out, 'close');
  } catch (cause) {
    out.destroy();
    await rm(path, { force: true });
    const text = cause instanceof Error ? cause.message || cause.name : String(cause);
    throw new AuditError('BROKER_FAILED', EXIT.failed, `${context.address.url}: ${text}`, cause);
  } finally {
    broker.close();
  }
}

/** Waits for the disk instead of holding the export in memory. */
async function write(out: WriteStream, text: string): Promise<void> {
  if (!out.write(text)) await once(out, 'drain');
}

/**
 * The export as a file of its own: whole, synced and looked through, or not there at all.
 *
 * @throws AuditError EXPORT_EXISTS, BROKER_FAILED, EXPORT_TRUNCATED, EXPORT_MALFORMED
 */
export async function writeExport(context: AuditContext, path: string, peer: string | undefined): Promise<number> {
  const draft = `${path}.${process.pid}.part`;
  await fetchExport(context, draft, peer);
  try {
    const { stretches } = await indexExport(draft, path);
    await sync(draft);
    // A link, unlike a rename, never replaces what is there.
    await link(draft, path);
    return stretches.length;
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') throw new AuditError('EXPORT_EXISTS', EXIT.usage, `${path} exists`, cause);
    throw cause;
  } finally {
    await rm(draft, { force: true });
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  await file.sync();
  await file.close();
}
