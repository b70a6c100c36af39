import type { JsonCode } from './codes.ts';
import { JSON_DEPTH_MAX } from './limits.ts';
import { accept, type Checked, type Refusal, refuse } from './refusal.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * JSON of which every parser reads the same: UTF-8 without BOM; no duplicate keys, no `__proto__`; numbers are safe integers
 * and never `-0`; no lone surrogates; bounded depth. `JSON.parse` keeps the last duplicate where others keep the first:
 * a signer could say two things at once.
 *
 * @param bytes the exact bytes that were verified (RFC 8259)
 */
export function parseStrictJson(bytes: Uint8Array): Checked<JsonValue, JsonCode> {
  const text = decodeUtf8(bytes);
  if (text === undefined) return refuse('JSON_UTF8', 'expected UTF-8');
  try {
    const reader = new Reader(text);
    return accept(reader.document());
  } catch (error) {
    if (error instanceof Trap) return error.refusal;
    throw error;
  }
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    // ignoreBOM keeps a BOM in the text, where the grammar refuses it.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Leaves the recursive descent; never leaves this file. */
class Trap extends Error {
  readonly refusal: Refusal<JsonCode>;

  constructor(code: JsonCode, text: string) {
    super(text);
    this.refusal = refuse(code, text);
  }
}

const SPACE = /[ \t\n\r]*/y;
/** `unescaped` of RFC 8259, section 7. */
const PLAIN = /[\u0020\u0021\u0023-\u005b\u005d-\uffff]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const INTEGER = /^(?:0|-?[1-9][0-9]*)$/;
const HEX4 = /[0-9a-fA-F]{4}/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** One pass over the text, each member leaving the position behind what it has read. Depth is bounded, so recursion is. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#take(SPACE);
    if (this.#at !== this.#text.length) throw this.#syntax('the end');
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > JSON_DEPTH_MAX) throw new Trap('JSON_DEPTH', `expected at most ${JSON_DEPTH_MAX} levels`);
    this.#take(SPACE);
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): JsonValue {
    this.#at++;
    const object: Record<string, JsonValue> = {};
    if (this.#skips('}')) return object;
    do {
      this.#take(SPACE);
      if (this.#text[this.#at] !== '"') throw this.#syntax('a key');
      // Compared after escapes are read: "a" and "\u0061" are one key.
      const key = this.#string();
      if (key === '__proto__') throw new Trap('JSON_PROTO', 'expected no key __proto__');
      if (Object.hasOwn(object, key))
        throw new Trap('JSON_DUPLICATE_KEY', `expected each key once, got ${JSON.stringify(key.slice(0, 64))} again`);
      if (!this.#skips(':')) throw this.#syntax('":"');
      object[key] = this.#value(depth + 1);
    } while (this.#skips(','));
    if (!this.#skips('}')) throw this.#syntax('"}"');
    return object;
  }

  #array(depth: number): JsonValue {
    this.#at++;
    const array: JsonValue[] = [];
    if (this.#skips(']')) return array;
    do array.push(this.#value(depth + 1));
    while (this.#skips(','));
    if (!this.#skips(']')) throw this.#syntax('"]"');
    return array;
  }

  #string(): string {
    this.#at++;
    let value = this.#take(PLAIN);
    if (this.#text[this.#at] === '"') {
      this.#at++;
      return value;
    }
    while (this.#text[this.#at] === '\\') value += this.#escape() + this.#take(PLAIN);
    if (this.#text[this.#at] !== '"') throw this.#syntax('the end of a string');
    this.#at++;
    // The decoded text is well formed; only escapes can bring in half a pair.
    if (!value.isWellFormed()) throw new Trap('JSON_SURROGATE', 'expected surrogates in pairs');
    return value;
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? '';
    this.#at += 2;
    if (letter === 'u') {
      const hex = this.#take(HEX4);
      if (hex === '') throw this.#syntax('four hexadecimal digits');
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const plain = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    if (plain === undefined) throw this.#syntax('an escape');
    return plain;
  }

  /** The whole JSON grammar is read first, so that `1.0` is named a float and not a syntax error. */
  #number(): number {
    const text = this.#take(NUMBER);
    if (text === '') throw this.#syntax('a value');
    const value = Number(text);
    if (!INTEGER.test(text) || !Number.isSafeInteger(value))
      throw new Trap('JSON_NUMBER', `expected a safe integer, got ${text.slice(0, 32)}`);
    return value;
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#syntax('a value');
    this.#at += word.length;
    return value;
  }

  /** Skips white space and this character, if it comes next. */
  #skips(character: string): boolean {
    this.#take(SPACE);
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += match.length;
    return match;
  }

  #syntax(expected: string): Trap {
    return new Trap('JSON_SYNTAX', `expected ${expected} at character ${this.#at}`);
  }
}
