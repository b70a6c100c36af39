import { type Effect, LibvirtError, type RemoteReport } from './error.ts';
import { nameOf, readDomain, readPool } from './handles.ts';
import type { XdrReader } from './xdr-reader.ts';

const LEVELS = ['none', 'warning', 'error'] as const;

/** Decodes virError from a reply or stream packet whose status is ERROR. */
export function readRemoteError(reader: XdrReader, context: string, effect: Effect = 'none'): LibvirtError {
  const report = readReport(reader);
  return new LibvirtError('REMOTE', `${context}: ${report.message}`, { effect, remote: report });
}

function readReport(reader: XdrReader): RemoteReport {
  const code = reader.int();
  const domain = reader.int();
  const message = reader.optional((r) => r.string()) ?? 'libvirt gave no message';
  const level = nameOf(LEVELS, reader.int());
  // The object concerned, three strings and two numbers repeat parts of the message: read, not kept.
  reader.optional(readDomain);
  for (let index = 0; index < 3; index += 1) reader.optional((r) => r.string());
  reader.int();
  reader.int();
  // A network has a pool's layout: name and uuid.
  reader.optional(readPool);
  reader.end();
  return { code, domain, level, message };
}
