import type { AuditedDecisions, AuditedLedger, AuditedMigration, AuditReport, Finding } from './report.ts';

/** The report for people: what was looked at, what came of it, who could open what when, and what is wrong. */
export function renderReport(report: AuditReport): string {
  const { divergence, violations, notices, unlisted } = report;
  return [
    `verdict: ${report.verdict}\n`,
    section('first divergence', divergence === undefined ? [] : [findingText(divergence)]),
    section('ledgers', report.ledgers.map(ledgerText)),
    section('migrations, and who could open the image', report.migrations.map(migrationText)),
    section('decisions of policy', report.decisions.map(decisionsText)),
    section('further violations', violations.slice(1).map(findingText)),
    section('notices', notices.map(findingText)),
    unlisted === 0 ? '' : `\n${unlisted} more violations and notices are not listed\n`,
    `\njudged as of ${report.asOf}\n`,
  ].join('');
}

const section = (title: string, lines: readonly string[]): string => (lines.length === 0 ? '' : `\n${title}\n${lines.join('')}`);

function ledgerText({ publisher, audience, verdict, events, voids, copies, note }: AuditedLedger): string {
  const shown = copies.map((copy) => `${copy.events} in ${copy.source}`).join(', ');
  const counted = voids === 0 ? '' : `, ${voids} void`;
  return `  ${publisher} → ${audience}  ${verdict}\n    ${events} events verified${counted}; shown: ${shown || 'nowhere'}\n${note === undefined ? '' : `    ${note}\n`}`;
}

const decisionsText = ({ csp, quoted, replayed, otherEngine }: AuditedDecisions): string =>
  `  ${csp}  ${quoted} quoted, ${replayed} made again alike${otherEngine === 0 ? '' : `, ${otherEngine} by another engine`}\n`;

function migrationText({ migration, vm, epoch, mode, source, target, outcome, ended, asked, custody }: AuditedMigration): string {
  const head = `  ${migration}  ${mode}  ${source} → ${target}  ${outcome}${ended ? '' : ' (open)'}\n`;
  const of = `    vm ${vm}, epoch ${epoch}; asked by ${asked.principal} (${asked.via})\n`;
  const lines = custody.map(({ at, event, domains, suspended }) => {
    const bound = suspended.length === 0 ? '' : `, ${suspended.join(' and ')} bound not to`;
    return `    from ${at}  ${domains.join(' and ') || 'nobody'}${bound}  (${event})\n`;
  });
  return [head, of, ...lines].join('');
}

function findingText({ code, text, ledger, seq, expected, got, sources }: Finding): string {
  const compared = [
    ...(expected === undefined ? [] : [`      expected ${expected}\n`]),
    ...(got === undefined ? [] : [`      got      ${got}\n`]),
  ].join('');
  const shown = sources === undefined ? '' : `      in       ${sources.join(', ')}\n`;
  return `  ${code}  ${ledger.publisher} → ${ledger.audience}, position ${seq}\n      ${text}\n${compared}${shown}`;
}
