import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonCode } from './codes.ts';
import { JSON_DEPTH_MAX } from './limits.ts';
import { parseStrictJson } from './strict-json.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const codeOf = (input: Uint8Array) => {
  const parsed = parseStrictJson(input);
  return parsed.ok ? 'ok' : parsed.code;
};

const integers = fc.maxSafeInteger().map((n) => (n === 0 ? 0 : n));
const document = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    integers,
    fc.string({ unit: 'grapheme' }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string({ maxLength: 8 }).filter((k) => k !== '__proto__'),
      tie('value'),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value;

describe('parseStrictJson', () => {
  it('reads whatever JSON.stringify writes of safe integers and well-formed text, as JSON.parse does', () => {
    fc.assert(
      fc.property(document, fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(parseStrictJson(bytes(text))).toEqual({ ok: true, value: JSON.parse(text) });
      }),
    );
  });

  it('never throws, and never takes what JSON.parse refuses', () => {
    const jsonLike = fc.string({ unit: fc.constantFrom(...'{}[]":,\\ue0123tfn-. \n"a'.split('')), maxLength: 24 });
    fc.assert(
      fc.property(jsonLike, (text) => {
        const parsed = parseStrictJson(bytes(text));
        expect(parsed.ok ? parsed.value : undefined).toEqual(parsed.ok ? JSON.parse(text) : undefined);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses arbitrary bytes without throwing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (input) => void expect(codeOf(input)).toMatch(/^(ok|JSON_[A-Z0-9_]+)$/)),
    );
  });

  it.each<[string, JsonCode]>([
    ['{"a":1,"a":2}', 'JSON_DUPLICATE_KEY'],
    ['{"a":1,"\\u0061":2}', 'JSON_DUPLICATE_KEY'],
    ['{"x":{"a":1,"b":2,"a":1}}', 'JSON_DUPLICATE_KEY'],
    ['{"__proto__":{}}', 'JSON_PROTO'],
    ['{"\\u005f_proto__":{}}', 'JSON_PROTO'],
    ['1.0', 'JSON_NUMBER'],
    ['1e3', 'JSON_NUMBER'],
    ['-0', 'JSON_NUMBER'],
    ['9007199254740992', 'JSON_NUMBER'],
    ['-9007199254740992', 'JSON_NUMBER'],
    ['"\\ud800"', 'JSON_SURROGATE'],
    ['"\\udc00\\ud800"', 'JSON_SURROGATE'],
    ['{"\\ud800":1}', 'JSON_SURROGATE'],
    [`${'['.repeat(JSON_DEPTH_MAX + 2)}${']'.repeat(JSON_DEPTH_MAX + 2)}`, 'JSON_DEPTH'],
    ['', 'JSON_SYNTAX'],
    ['{} {}', 'JSON_SYNTAX'],
    ['[1,]', 'JSON_SYNTAX'],
    ['{"a":1,}', 'JSON_SYNTAX'],
    ['01', 'JSON_SYNTAX'],
    ['+1', 'JSON_SYNTAX'],
    ["{'a':1}", 'JSON_SYNTAX'],
    ['"\u0001"', 'JSON_SYNTAX'],
    ['"\\x41"', 'JSON_SYNTAX'],
    ['"\\u00g0"', 'JSON_SYNTAX'],
    ['"open', 'JSON_SYNTAX'],
    ['NaN', 'JSON_SYNTAX'],
    ['\ufeff{}', 'JSON_SYNTAX'],
  ])('refuses %j as %s', (text, code) => {
    expect(codeOf(bytes(text))).toBe(code);
  });

  it('refuses bytes that are not UTF-8: overlong, lone surrogate, cut short', () => {
    for (const tail of [
      [0xc0, 0xaf],
      [0xed, 0xa0, 0x80],
      [0xe2, 0x82],
    ]) {
      expect(codeOf(Uint8Array.of(0x22, ...tail, 0x22))).toBe('JSON_UTF8');
    }
  });

  it('takes escaped pairs, numbers at the edge and the deepest allowed nesting', () => {
    expect(parseStrictJson(bytes('["\\ud83d\\ude00",9007199254740991,-1,0]'))).toEqual({
      ok: true,
      value: ['😀', 9007199254740991, -1, 0],
    });
    expect(codeOf(bytes(`${'['.repeat(JSON_DEPTH_MAX)}${']'.repeat(JSON_DEPTH_MAX)}`))).toBe('ok');
  });
});
