import { z } from 'zod';

/** Key states of NIST SP 800-57 Part 1, section 7 ("destroyed-compromised" as in its revision 4 and in KMIP). */
export const keyState = z.enum([
  'pre-activation',
  'active',
  'suspended',
  'deactivated',
  'compromised',
  'destroyed',
  'destroyed-compromised',
]);
export type KeyState = z.infer<typeof keyState>;

/** Legal transitions, `from` → `to`s. NIST's own numbers differ by revision, so none are given; what is missing here is illegal. */
export const TRANSITIONS: Readonly<Record<KeyState, readonly KeyState[]>> = {
  'pre-activation': ['active', 'compromised', 'destroyed'],
  active: ['suspended', 'deactivated', 'compromised', 'destroyed'],
  suspended: ['active', 'deactivated', 'compromised', 'destroyed'],
  deactivated: ['compromised', 'destroyed'],
  compromised: ['destroyed-compromised'],
  destroyed: ['destroyed-compromised'],
  'destroyed-compromised': [],
};

export const isLegal = (from: KeyState, to: KeyState): boolean => TRANSITIONS[from].includes(to);

/** In these states no key bytes are kept, wrapped or not. */
export const isDestroyed = (state: KeyState): boolean => state === 'destroyed' || state === 'destroyed-compromised';
