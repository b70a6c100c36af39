import { type KeyState, keyState } from '@carnet/events';

export { type KeyState, keyState };

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
/** The same, for queries. */
export const DESTROYED: readonly KeyState[] = keyState.options.filter(isDestroyed);

/** How a key in this state is destroyed: what was compromised stays so in the record. */
export const destructionOf = (state: KeyState): KeyState =>
  state === 'compromised' || state === 'destroyed-compromised' ? 'destroyed-compromised' : 'destroyed';
