import { describe, expect, it } from 'vitest';
import { createAccess, isOwnHost } from './access.ts';

describe('access', () => {
  it('admits the bearer of this token and nobody else', () => {
    const { token, admits } = createAccess();
    expect(admits(`Bearer ${token}`)).toBe(true);
    for (const other of [
      undefined,
      '',
      'Bearer ',
      token,
      `bearer ${token}`,
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      `Basic ${token}`,
    ])
      expect(admits(other), other).toBe(false);
  });

  it('makes a new token of 256 bits at each start', () => {
    const [a, b] = [createAccess().token, createAccess().token];
    expect(a).not.toBe(b);
    expect(a).toMatch(/^[\w-]{43}$/);
  });
});

describe('host', () => {
  it.each(['127.0.0.1:8900', 'localhost:8900', '[::1]:8900'])('%s is ours', (host) => expect(isOwnHost(host, 8_900)).toBe(true));
  it.each([
    undefined,
    '',
    '127.0.0.1',
    '127.0.0.1:8901',
    'evil.example:8900',
    '127.0.0.1.evil.example:8900',
    'localhost.:8900',
    'evil.example@127.0.0.1:8900',
  ])('%s is not', (host) => expect(isOwnHost(host, 8_900)).toBe(false));
});
