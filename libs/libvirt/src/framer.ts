import { LibvirtError } from './error.ts';
import { HEADER_BYTES, LENGTH_BYTES, MESSAGE_BYTES_MAX } from './limits.ts';

/**
 * Cuts the byte stream into packets. Memory grows with bytes that really arrived, never with a
 * length that a hostile peer merely states.
 */
export class Framer {
  #chunks: Buffer[] = [];
  #size = 0;

  /** Yields each complete packet without its length word. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    for (;;) {
      if (this.#size < LENGTH_BYTES) return;
      const length = this.#length();
      if (this.#size < length) return;
      const whole = this.#joined();
      const packet = whole.subarray(LENGTH_BYTES, length);
      const rest = whole.subarray(length);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#size = rest.length;
      yield packet;
    }
  }

  #length(): number {
    const [first] = this.#chunks;
    const word = first !== undefined && first.length >= LENGTH_BYTES ? first : this.#joined();
    const length = word.readUInt32BE(0);
    if (length < LENGTH_BYTES + HEADER_BYTES || length > LENGTH_BYTES + MESSAGE_BYTES_MAX) {
      throw new LibvirtError('PROTOCOL_VIOLATION', `a packet cannot have ${length} bytes`, { effect: 'unknown' });
    }
    return length;
  }

  #joined(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && this.#chunks.length === 1) return first;
    const whole = Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [whole];
    return whole;
  }
}
