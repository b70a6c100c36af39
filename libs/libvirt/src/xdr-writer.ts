import { LibvirtError } from './error.ts';
import { MESSAGE_BYTES_MAX, STRING_BYTES_MAX, UUID_BYTES } from './limits.ts';

const CAPACITY_BYTES_FIRST = 256;
const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Encodes XDR (RFC 4506) into one growing buffer; every method returns the writer. Bytes may be secret: `wipe` ends them. */
export class XdrWriter {
  #buffer = Buffer.alloc(CAPACITY_BYTES_FIRST);
  #size = 0;

  /** 32-bit signed. */
  int(value: number): this {
    if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0x7fff_ffff) throw unfit(`${value} is no 32-bit integer`);
    const at = this.#take(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  /** 32-bit unsigned. */
  uint(value: number): this {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw unfit(`${value} is no unsigned 32-bit integer`);
    const at = this.#take(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  /** 64-bit signed. */
  hyper(value: bigint): this {
    if (BigInt.asIntN(64, value) !== value) throw unfit(`${value} is no 64-bit integer`);
    const at = this.#take(8);
    this.#buffer.writeBigInt64BE(value, at);
    return this;
  }

  /** 64-bit unsigned. */
  uhyper(value: bigint): this {
    if (BigInt.asUintN(64, value) !== value) throw unfit(`${value} is no unsigned 64-bit integer`);
    const at = this.#take(8);
    this.#buffer.writeBigUInt64BE(value, at);
    return this;
  }

  double(value: number): this {
    const at = this.#take(8);
    this.#buffer.writeDoubleBE(value, at);
    return this;
  }

  /** Length-prefixed bytes, padded with zeros to a multiple of four. */
  opaque(bytes: Uint8Array, bytesMax: number): this {
    if (bytes.length > bytesMax) throw unfit(`${bytes.length} bytes where ${bytesMax} are allowed`);
    return this.uint(bytes.length).fixed(bytes);
  }

  /** Bytes whose number both sides know. */
  fixed(bytes: Uint8Array): this {
    const at = this.#take(paddedLength(bytes.length));
    this.#buffer.set(bytes, at);
    return this;
  }

  /** The daemon is C: a NUL would silently cut the string there, so `good\0evil` is refused here. */
  string(value: string, bytesMax = STRING_BYTES_MAX): this {
    if (value.includes('\0')) throw unfit('a string holds a NUL');
    return this.opaque(Buffer.from(value, 'utf8'), bytesMax);
  }

  optionalString(value: string | undefined): this {
    return value === undefined ? this.uint(0) : this.uint(1).string(value);
  }

  /** `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` as 16 bytes. */
  uuid(value: string): this {
    if (!UUID_PATTERN.test(value)) throw unfit('a UUID has the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx');
    const bytes = Buffer.from(value.replaceAll('-', ''), 'hex');
    if (bytes.length !== UUID_BYTES) throw unfit('a UUID has 16 bytes');
    return this.fixed(bytes);
  }

  list<T>(values: readonly T[], entriesMax: number, write: (writer: XdrWriter, value: T) => unknown): this {
    if (values.length > entriesMax) throw unfit(`${values.length} entries where ${entriesMax} are allowed`);
    this.uint(values.length);
    for (const value of values) write(this, value);
    return this;
  }

  /** What was written so far; a view, valid until the next write. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  /** Overwrites what was written with zeros: for when it has been sent, or never will be. */
  wipe(): void {
    this.#buffer.fill(0, 0, this.#size);
  }

  #take(bytes: number): number {
    const at = this.#size;
    const size = at + bytes;
    if (size > MESSAGE_BYTES_MAX) throw unfit(`a message is at most ${MESSAGE_BYTES_MAX} bytes`);
    if (size > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(size, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.wipe();
      this.#buffer = grown;
    }
    this.#size = size;
    return at;
  }
}

export function paddedLength(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function unfit(why: string): LibvirtError {
  return new LibvirtError('ARGUMENT_INVALID', why);
}
