import { refused, type Setback } from './codes.ts';

/**
 * Header of libvirt's save file (qemu_saveimage.h): 16 bytes of magic, then little-endian u32 version, data_len, was_running,
 * compressed. What arrives was written by a peer's libvirt, so only the plain form is let through: a compression number selects
 * a program that this host would run, and a partial file is one that its writer never finished.
 */
const MAGIC = 'LibvirtQemudSave';
const VERSION = 2;
const HEADER_BYTES = 92;
/** libvirt's XML and cookie take some 10 KiB; it pads them. Bytes. */
const DATA_BYTES_MAX = 1_048_576;
const UNCOMPRESSED = 0;

/** `head`: the first bytes of the file, 92 at least. undefined: plain and whole. */
export function savedStateFault(head: Buffer): Setback | undefined {
  const no = (why: string): Setback => refused('MEMORY_STATE_REFUSED', why);
  if (head.length < HEADER_BYTES) return no('It is shorter than its header.');
  if (head.subarray(0, MAGIC.length).toString('latin1') !== MAGIC) return no('It was not finished, or is something else.');
  const [version, dataBytes, , compressed] = [16, 20, 24, 28].map((offset) => head.readUInt32LE(offset));
  if (version !== VERSION) return no(`Expected version ${VERSION}, got ${version}.`);
  if (dataBytes === undefined || dataBytes > DATA_BYTES_MAX) return no(`Its description has ${dataBytes} bytes.`);
  return compressed === UNCOMPRESSED ? undefined : no('It is compressed.');
}
export const SAVED_STATE_HEAD_BYTES = HEADER_BYTES;
