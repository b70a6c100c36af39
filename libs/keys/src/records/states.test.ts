import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDestroyed, isLegal, keyState, TRANSITIONS } from './states.ts';

const states = keyState.options;

describe('key states (NIST SP 800-57 Part 1, section 7)', () => {
  it('no way leads out of destruction but to its compromised form', () => {
    expect(TRANSITIONS.destroyed).toEqual(['destroyed-compromised']);
    expect(TRANSITIONS['destroyed-compromised']).toEqual([]);
  });

  it('a compromised key never becomes usable again', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...states), { maxLength: 12 }), (path) => {
        let state = keyState.parse('compromised');
        for (const to of path) if (isLegal(state, to)) state = to;
        return state === 'compromised' || state === 'destroyed-compromised';
      }),
    );
  });

  it('from every state but the last a key can be destroyed', () => {
    for (const from of states) {
      const reached = new Set([from]);
      for (const state of reached) for (const to of TRANSITIONS[state]) reached.add(to);
      expect([...reached].some(isDestroyed), from).toBe(true);
    }
  });

  it('a state is no transition to itself, and nothing goes back to pre-activation', () => {
    for (const from of states) {
      expect(isLegal(from, from)).toBe(false);
      expect(isLegal(from, 'pre-activation')).toBe(false);
    }
  });
});
