import type {
  AuditedCustody,
  AuditedDecisions,
  AuditedKeyHistory,
  AuditedLedger,
  AuditedMigration,
  AuditReport,
  Finding,
} from './report.ts';

/** The report for people: what was looked at, what came of it, who could open what when, and what is wrong. */
export function renderReport(report: AuditReport): string {
  const { divergence, violations, notices, unlisted } = report;
  return [
    `verdict: ${report.verdict}\n`,
    section('first divergence', divergence === undefined ? [] : [findingText(divergence)]),
    section('ledgers', report.ledgers.map(ledgerText)),
    section('histories of own keys', report.keyHistories.map(keyHistoryText)),
    section('migrations, and who could open the image', report.migrations.map(migrationText)),
    section('decisions of policy', report.decisions.map(decisionsText)),
    section('further violations', violations.slice(1).map(findingText)),
    section('notices', notices.map(findingText)),
    unlisted === 0 ? '' : `\n${unlisted} more violations and notices are not listed\n`,
    `\njudged as of ${report.asOf}\n`,
  ].join('');
}

const section = (title: string, lines: readonly string[]): string => (lines.length === 0 ? '' : `\n${title}\n${lines.join('')}`);

function ledgerText({ publisher, audience, verdict, events, voids, copies, cosigned, note }: AuditedLedger): string {
  const shown = copies.map((copy) => `${copy.events} in ${copy.source}`).join(', ');
  const counted = voids === 0 ? '' : `, ${voids} void`;
  return [
    `  ${publisher} → ${audience}  ${verdict}\n`,
    `    ${events} events verified${counted}; shown: ${shown || 'nowhere'}\n`,
    cosigned === undefined
      ? ''
      : `    the first ${cosigned.events} by a checkpoint that ${audience} cosigned at ${cosigned.at}\n`,
    note === undefined ? '' : `    ${note}\n`,
  ].join('');
}

const keyHistoryText = ({ csp, source, keys, lines, signed }: AuditedKeyHistory): string =>
  `  ${csp}  ${lines} changes of ${keys} keys, ${signed} of them by operators who signed; in ${source}\n`;

const decisionsText = ({ csp, quoted, replayed, otherEngine }: AuditedDecisions): string =>
  `  ${csp}  ${quoted} quoted, ${replayed} made again alike${otherEngine === 0 ? '' : `, ${otherEngine} by another engine`}\n`;

function migrationText({ migration, vm, epoch, mode, source, target, outcome, ended, asked, custody }: AuditedMigration): string {
  const head = `  ${migration}  ${mode}  ${source} → ${target}  ${outcome}${ended ? '' : ' (open)'}\n`;
  const of = `    vm ${vm}, epoch ${epoch}; asked by ${asked.principal} (${asked.via})\n`;
  return [head, of, ...custody.flatMap(custodyLines)].join('');
}

const INDENT = ' '.repeat(4);
/** Below the sentence, not below the time. */
const BELOW = ' '.repeat(30);

/** One change of custody in words that need no knowledge of the protocol, then where it stands, so that it can be looked up. */
function custodyLines(entry: AuditedCustody, i: number): readonly string[] {
  const { at, event, ledger, seq, domains } = entry;
  const now = `now ${domains.length === 0 ? 'nobody can' : `only ${domains.join(' and ')} can`} open it`;
  const said = [...(i === 0 ? [`before the move ${domains.join(' and ') || 'nobody'} holds the key`] : changesText(entry)), now];
  return [
    `${INDENT}${at}  ${said[0]}\n`,
    ...said.slice(1).map((line) => `${BELOW}${line}\n`),
    `${BELOW}(${event}, signed by ${ledger.publisher}, position ${seq} in its ledger to ${ledger.audience})\n`,
  ];
}

function changesText({ gained, lost, destroyed, suspended }: AuditedCustody): readonly string[] {
  const changes = [
    ...gained.map((domain) => `${domain} gains: it can open the image from here on`),
    ...lost
      .filter((domain) => suspended.includes(domain))
      .map((domain) => `${domain} loses: it keeps the key and has bound itself not to use it`),
    ...destroyed.map((domain) =>
      lost.includes(domain) ? `${domain} loses: it destroyed what it held` : `${domain} destroyed the key that it had kept`,
    ),
  ];
  return changes.length === 0 ? ['nobody gains or loses'] : changes;
}

function findingText({ code, text, ledger, seq, expected, got, sources }: Finding): string {
  const compared = [
    ...(expected === undefined ? [] : [`      expected ${expected}\n`]),
    ...(got === undefined ? [] : [`      got      ${got}\n`]),
  ].join('');
  const shown = sources === undefined ? '' : `      in       ${sources.join(', ')}\n`;
  return `  ${code}  ${ledger.publisher} → ${ledger.audience}, position ${seq}\n      ${text}\n${compared}${shown}`;
}
