import { type Contradiction, PROOF_CODES } from '@carnet/trust';
import type { ProofVerdict } from './proof-verdict.ts';

/** For whoever decides about a contract, not about a ledger: who signed what, against what, and what the accused can still answer. */
export function renderProof(verdict: ProofVerdict): string {
  const lines = linesOf(verdict);
  return `${[...lines, '', `judged as of ${verdict.asOf}`].join('\n')}\n`;
}

function linesOf({ accused, audience, claim, statement, contradiction, signedBy, refusal }: ProofVerdict): readonly string[] {
  if (accused !== undefined && audience !== undefined && contradiction !== undefined)
    return [
      `verdict: ${accused} is convicted (${claim})`,
      '',
      ...contradictionText(accused, audience, contradiction),
      '',
      `signed under ${(signedBy ?? []).length === 1 ? 'its event key' : 'its event keys'}`,
      ...(signedBy ?? []).map(
        ({ keyid, introducedAt }) => `  ${keyid}\n    introduced by the certificate of ${accused}'s broker at ${introducedAt}`,
      ),
      `statement ${statement}`,
      '',
      `What ${accused} can answer`,
      `  that it had ended this key, as stolen, before the position that is named: its KeyRevoked shows it`,
      ...answerText(accused, audience, contradiction),
    ];
  if (refusal === undefined) return ['verdict: none'];
  const about = accused === undefined ? '' : ` against ${accused}`;
  return [
    `verdict: this proves nothing${about}`,
    '',
    `  ${refusal.code}  ${PROOF_CODES[refusal.code].text}`,
    `      ${refusal.text}`,
    ...(refusal.expected === undefined ? [] : [`      expected ${refusal.expected}`]),
    ...(refusal.got === undefined ? [] : [`      got      ${refusal.got}`]),
    `  ${PROOF_CODES[refusal.code].advice}`,
  ];
}

function contradictionText(accused: string, audience: string, c: Contradiction): readonly string[] {
  const ledger = `its ledger to ${audience}`;
  switch (c.kind) {
    case 'two-events':
      return [`${accused} signed two events for position ${c.seq} of ${ledger}:`, `  ${c.held}`, `  ${c.told}`];
    case 'another-past':
      return [
        `${accused} signed one event for position ${c.seq} of ${ledger}, and in the next one that another stands there:`,
        `  ${c.held}  is what it signed`,
        `  ${c.told}  is what it says stands there`,
      ];
    case 'false-head':
      return [
        `${accused} signed an event for position ${c.seq} of ${ledger}, and at ${c.at} a head that says another stands there:`,
        `  ${c.held}  is the event`,
        `  ${c.told}  is what the head says`,
      ];
    case 'false-checkpoint':
      return [
        `${accused} signed ${c.size} events of ${ledger}, and at ${c.at} a checkpoint of ${c.size} others:`,
        `  ${c.held}  is the root of the events`,
        `  ${c.told}  is the root in the checkpoint`,
      ];
    case 'unknown-cause':
      return [
        `${accused} signed at position ${c.seq} of ${ledger} that it relies on an event of ${audience}:`,
        `  ${c.cause}`,
        `There is none such among the ${c.shown} events of the ledger that ${audience} signed to it, shown from its beginning; and ${accused} signed,`,
        'after that event, how far it holds that ledger: no further than is shown.',
      ];
  }
}

const answerText = (accused: string, audience: string, { kind }: Contradiction): readonly string[] =>
  kind === 'unknown-cause'
    ? [
        `  the event that it cited, signed by ${audience}: then it is ${audience} that hid it, and a restored database of ${accused} that forgot it`,
      ]
    : [];
