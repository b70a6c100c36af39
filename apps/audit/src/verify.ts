import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Context, loadContext } from '@carnet/publisher';
import { auditLedgers } from './core/audit-ledgers.ts';
import { AuditError, EXIT } from './exit.ts';
import { type ExportFile, historiesOf, indexExport, notesOf } from './io/export-file.ts';
import { fetchExport } from './io/fetch-export.ts';
import { readNoteFiles } from './io/note-files.ts';
import { pairsOf } from './io/pairs.ts';
import { readPolicySets } from './io/policy-sets.ts';
import { readTrust } from './io/trust-files.ts';
import type { AuditReport } from './report.ts';

export type VerifyRequest = {
  readonly files: readonly string[];
  /** Names or paths of context files. */
  readonly contexts: readonly string[];
  readonly root?: string;
  readonly crls?: string;
  /** Files, each a checkpoint that the auditor kept: a C2SP note. */
  readonly checkpoints?: readonly string[];
  /** Folder of policy sets. */
  readonly policies?: string;
  readonly nowMs: number;
  readonly environment: NodeJS.ProcessEnv;
};

/**
 * From files and brokers to a report.
 *
 * @throws AuditError when there is nothing to judge: a divergence is no error, but what the report says
 */
export async function verify(request: VerifyRequest): Promise<AuditReport> {
  const contexts = request.contexts.map((name) => loadContext(name, request.environment));
  if (request.files.length + contexts.length === 0)
    throw new AuditError('USAGE', EXIT.usage, 'name export files, or brokers with --context');
  const trust = trustOf(request, contexts);
  const policies = request.policies === undefined ? {} : { policies: readPolicySets(request.policies) };
  const scratch = await mkdtemp(join(tmpdir(), 'carnet-audit-'));
  try {
    const exports = [...(await indexAll(request.files)), ...(await fetchAll(contexts, scratch))];
    const pairs = pairsOf(exports);
    if (pairs.length === 0) throw new AuditError('EXPORT_EMPTY', EXIT.failed, 'no ledger holds any event');
    const notes = [...notesOf(exports), ...readNoteFiles(request.checkpoints ?? [])];
    return await auditLedgers({ pairs, notes, histories: historiesOf(exports), trust, ...policies, nowMs: request.nowMs });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * By the root that is named, or that of the first context.
 *
 * @throws AuditError USAGE, FILE_UNREADABLE
 */
export function trustOf(
  request: Pick<VerifyRequest, 'root' | 'crls'>,
  contexts: readonly Pick<Context, 'rootFile'>[],
): ReturnType<typeof readTrust> {
  const root = request.root ?? contexts[0]?.rootFile;
  if (root === undefined) throw new AuditError('USAGE', EXIT.usage, 'files are judged by a root that you trust: --root root.pem');
  return readTrust(root, request.crls ?? join(dirname(root), 'crls'));
}

async function indexAll(files: readonly string[]): Promise<readonly ExportFile[]> {
  const exports: ExportFile[] = [];
  for (const file of files) exports.push(await indexExport(file));
  return exports;
}

/** Live ledgers are taken down first: an audit reads each twice, and a broker must not be able to answer twice differently. */
async function fetchAll(contexts: readonly Context[], scratch: string): Promise<readonly ExportFile[]> {
  const exports: ExportFile[] = [];
  for (const [i, context] of contexts.entries()) {
    const path = join(scratch, `${i}.jsonl`);
    await fetchExport(context, path, undefined);
    exports.push(await indexExport(path, context.address.url));
  }
  return exports;
}
