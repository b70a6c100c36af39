import { LibvirtError } from './error.ts';
import { STRING_BYTES_MAX, UUID_BYTES } from './limits.ts';
import { paddedLength } from './xdr-writer.ts';

/**
 * Decodes XDR (RFC 4506) from one packet. The bytes are hostile: each length is held against its
 * limit and against what is really there before anything is allocated.
 */
export class XdrReader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  int(): number {
    return this.#buffer.readInt32BE(this.#take(4));
  }

  uint(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  hyper(): bigint {
    return this.#buffer.readBigInt64BE(this.#take(8));
  }

  uhyper(): bigint {
    return this.#buffer.readBigUInt64BE(this.#take(8));
  }

  double(): number {
    return this.#buffer.readDoubleBE(this.#take(8));
  }

  /** XDR's bool, and libvirt's ints that mean one: anything but 0 and 1 is a violation. */
  bool(): boolean {
    const value = this.uint();
    if (value > 1) throw violation(`expected 0 or 1, got ${value}`);
    return value === 1;
  }

  /** A copy of its own, so that a caller may overwrite a secret after use. */
  opaque(bytesMax: number): Uint8Array {
    const length = this.uint();
    if (length > bytesMax) throw violation(`${length} bytes where ${bytesMax} are allowed`);
    return Uint8Array.from(this.#view(length));
  }

  /** Invalid UTF-8 becomes U+FFFD: libvirt passes on file names and messages of others as they are. */
  string(bytesMax = STRING_BYTES_MAX): string {
    const length = this.uint();
    if (length > bytesMax) throw violation(`a string of ${length} bytes where ${bytesMax} are allowed`);
    const view = this.#view(length);
    if (view.includes(0)) throw violation('a string holds a NUL');
    return view.toString('utf8');
  }

  optional<T>(read: (reader: XdrReader) => T): T | undefined {
    return this.bool() ? read(this) : undefined;
  }

  /** Lower-case canonical text. */
  uuid(): string {
    const hex = this.#view(UUID_BYTES).toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }

  list<T>(entriesMax: number, read: (reader: XdrReader) => T): readonly T[] {
    const length = this.uint();
    // Each entry takes at least one word: a count that the packet cannot hold is refused before the loop.
    if (length > entriesMax || length * 4 > this.#remaining()) throw violation(`a list of ${length} entries does not fit`);
    const values: T[] = [];
    for (let index = 0; index < length; index += 1) values.push(read(this));
    return values;
  }

  /** Everything not yet read; stream data is not XDR. */
  rest(): Uint8Array {
    const rest = this.#buffer.subarray(this.#offset);
    this.#offset = this.#buffer.length;
    return rest;
  }

  /** Bytes after the last field mean that we and the daemon disagree about the layout. */
  end(): void {
    if (this.#remaining() > 0) throw violation(`${this.#remaining()} bytes too many`);
  }

  #view(length: number): Buffer {
    const padded = paddedLength(length);
    const at = this.#take(padded);
    for (let index = at + length; index < at + padded; index += 1) {
      if (this.#buffer[index] !== 0) throw violation('padding is not zero');
    }
    return this.#buffer.subarray(at, at + length);
  }

  #take(bytes: number): number {
    if (bytes > this.#remaining()) throw violation(`expected ${bytes} more bytes, got ${this.#remaining()}`);
    const at = this.#offset;
    this.#offset += bytes;
    return at;
  }

  #remaining(): number {
    return this.#buffer.length - this.#offset;
  }
}

function violation(why: string): LibvirtError {
  return new LibvirtError('PROTOCOL_VIOLATION', why, { effect: 'unknown' });
}
