import { describe, expect, it } from 'vitest';
import { isRefusal, isRetryable, StoreError } from './error.ts';

const withCode = (code: string): Error => Object.assign(new Error('of the database'), { code });

describe('what a database said', () => {
  it.each([
    '08006',
    '40001',
    '40P01',
    '53100',
    '53200',
    '53300',
    '57P01',
    '57P03',
    '58030',
    'ECONNREFUSED',
  ])('%s is worth another try', (code) =>
    expect([isRetryable(withCode(code)), isRetryable(new Error('around it', { cause: withCode(code) }))]).toEqual([true, true]));

  it.each(['23505', '42P01', '22P02', '42501'])('%s is not', (code) => expect(isRetryable(withCode(code))).toBe(false));

  it('an answer that did not come in time is worth another try', () =>
    expect(isRetryable(new Error('Query read timeout'))).toBe(true));

  it('nor is what is no error of a database', () => {
    expect([isRetryable(new Error('other')), isRetryable('53100'), isRetryable(undefined)]).toEqual([false, false, false]);
    expect(isRetryable(new StoreError('STORE_UNREACHABLE', ''))).toBe(true);
    expect(isRetryable(new StoreError('SCHEMA_NEWER', ''))).toBe(false);
  });

  it.each(['28P01', '3D000', '42501'])('%s does not pass by itself', (code) => expect(isRefusal(withCode(code))).toBe(true));
});
