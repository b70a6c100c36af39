import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Federation } from '../clouds/federation.ts';
import type { Screen } from './screen.ts';

/** What the demo shows of the auditor's JSON; its own page documents the rest. */
export type AuditReport = {
  readonly verdict: string;
  readonly ledgers: readonly {
    readonly publisher: string;
    readonly audience: string;
    readonly verdict: string;
    readonly events?: number;
  }[];
  readonly migrations: readonly {
    readonly migration: string;
    readonly mode: string;
    readonly outcome: string;
    readonly custody: readonly { readonly at: string; readonly event: string; readonly domains: readonly string[] }[];
  }[];
  readonly decisions: readonly { readonly csp: string; readonly quoted: number; readonly replayed: number }[];
  readonly divergence?: unknown;
};

const AUDIT_MS_MAX = 60_000;

/** The auditor is a program of its own that asks both brokers and trusts neither. With A's policy files it makes A's decisions again. */
export function audit(federation: Federation, screen: Screen): AuditReport {
  const { code, a, b, pki } = federation;
  const contexts = [a, b].flatMap((csp) => ['--context', csp.context('auditor')]);
  const args = [
    join(code.root, 'apps', 'audit', 'src', 'main.ts'),
    'verify',
    ...contexts,
    '--root',
    join(pki, 'root.pem'),
    '--crls',
    join(pki, 'crls'),
    '--policies',
    join(a.paths.brokerState, 'policies'),
    '--json',
  ];
  const run = spawnSync(code.node, args, { encoding: 'utf8', timeout: AUDIT_MS_MAX, maxBuffer: 67_108_864 });
  if (run.status !== 0) throw new Error(`the auditor ended with ${run.status}:\n${run.stdout}${run.stderr}`);
  const report: AuditReport = JSON.parse(run.stdout);
  screen.line(`verdict: ${report.verdict}`);
  for (const ledger of report.ledgers) screen.line(`  ${ledger.publisher} → ${ledger.audience}: ${ledger.verdict}`);
  for (const { csp, quoted, replayed } of report.decisions)
    screen.line(`  policy of ${csp}: ${quoted} decisions quoted, ${replayed} made again alike`);
  for (const migration of report.migrations) {
    screen.line(`  ${migration.mode} migration ${migration.migration}: ${migration.outcome}; the image could be opened by`);
    for (const { at, event, domains } of migration.custody)
      screen.line(`    from ${at.slice(11, 23)}  ${domains.join(' and ') || 'nobody'}  (${event})`);
  }
  return report;
}
