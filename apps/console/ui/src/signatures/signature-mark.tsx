import { Tooltip } from '@patternfly/react-core';
import { CheckCircleIcon } from '@patternfly/react-icons/dist/esm/icons/check-circle-icon';
import { QuestionCircleIcon } from '@patternfly/react-icons/dist/esm/icons/question-circle-icon';
import { TimesCircleIcon } from '@patternfly/react-icons/dist/esm/icons/times-circle-icon';
import type { Verdict } from './verify.ts';

/** One sentence on what was checked, for tooltips and screen readers. */
export function sentenceOf(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'valid':
      return `Signature checked in this browser: key ${verdict.keyid.slice(0, 8)}, announced at position ${verdict.announcedAt} of this ledger`;
    case 'unknown-key':
      return `Signature not checked: ${verdict.text}`;
    case 'invalid':
      return `Signature refused, ${verdict.code}: ${verdict.text}`;
    default:
      return verdict satisfies never;
  }
}

const ICONS = { valid: CheckCircleIcon, 'unknown-key': QuestionCircleIcon, invalid: TimesCircleIcon } as const;

export function SignatureMark({ verdict }: { readonly verdict: Verdict }) {
  const Icon = ICONS[verdict.kind];
  const sentence = sentenceOf(verdict);
  return (
    <Tooltip content={sentence}>
      <span className={`carnet-signature carnet-signature-${verdict.kind}`} role="img" aria-label={sentence}>
        <Icon />
      </span>
    </Tooltip>
  );
}
