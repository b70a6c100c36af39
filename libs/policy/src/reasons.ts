import { POLICIES_NAMED_MAX, type Reason } from '@carnet/events';
import { isPolicyCode, POLICY_CODES, type PolicyCode } from './codes.ts';
import type { Answer } from './engine.ts';
import { REASON_CHARS_MAX } from './limits.ts';
import type { PolicySet } from './policy-set.ts';

/**
 * One reason for each policy that determined the decision: its code, its sentence, its name, and what to do next.
 *
 * @param elsewhere what to add where the level of this place is too low
 */
export function reasonsOf(
  set: PolicySet,
  { allowed, determining, errors }: Answer,
  what: string,
  elsewhere: () => string = () => '',
): readonly Reason[] {
  if (errors.length > 0)
    return errors
      .map(({ policy, text }) => reasonOfCode('POLICY_ERROR', `policy ${policy}: ${text}`))
      .slice(0, POLICIES_NAMED_MAX);
  if (allowed) return [reasonOfCode('ALLOWED', `policies ${determining.join(', ')}`)];
  if (determining.length === 0) return [reasonOfCode('NOT_PERMITTED', `set version ${set.ruledBy.version}: ${what}`)];
  return determining.slice(0, POLICIES_NAMED_MAX).map((id) => {
    const { reason = 'POLICY_ERROR', says, advice } = set.policies.find((one) => one.id === id)?.annotations ?? {};
    const known = isPolicyCode(reason) ? POLICY_CODES[reason] : undefined;
    const other = reason === 'LEVEL_TOO_LOW' ? elsewhere() : '';
    return {
      code: reason,
      text: printable(`${says ?? known?.text ?? ''} (policy ${id}) ${advice ?? known?.advice ?? ''}${other}`),
    };
  });
}

/** A reason that no policy gave. */
export const reasonOfCode = (code: PolicyCode, about: string): Reason => ({
  code,
  text: printable(`${POLICY_CODES[code].text} (${about}) ${POLICY_CODES[code].advice}`),
});

/** Names come from requests and annotations from files: neither may forge a line, and an event takes no other text. */
const printable = (text: string): string =>
  text
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, ' ')
    .trim()
    .slice(0, REASON_CHARS_MAX);
