/** One entry of an initramfs. Directories must come before what lies in them. */
export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly kind: 'device'; readonly path: string; readonly major: number; readonly minor: number };

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
/** cpio(5): names and contents each begin at a multiple of four. */
const ALIGN_BYTES = 4;

/**
 * Packs a `newc` cpio archive, the format of Linux' initramfs. Deterministic: no times, no owners but root, so the
 * same parts give the same bytes and a launch measurement can be expected.
 */
export function packCpio(entries: readonly CpioEntry[]): Buffer {
  const records = entries.map((entry, index) => record(entry, index + 1));
  return Buffer.concat([...records, header({ name: TRAILER, inode: 0, mode: 0, size: 0, major: 0, minor: 0 })]);
}

function record(entry: CpioEntry, inode: number): Buffer {
  const fields = { name: entry.path, inode, size: 0, major: 0, minor: 0 };
  switch (entry.kind) {
    case 'directory':
      return header({ ...fields, mode: 0o040755 });
    case 'device':
      return header({ ...fields, mode: 0o020600, major: entry.major, minor: entry.minor });
    case 'file':
      return Buffer.concat([
        header({ ...fields, mode: 0o100000 | entry.mode, size: entry.content.length }),
        padded(entry.content),
      ]);
  }
}

type HeaderFields = {
  readonly name: string;
  readonly inode: number;
  readonly mode: number;
  readonly size: number;
  readonly major: number;
  readonly minor: number;
};

function header({ name, inode, mode, size, major, minor }: HeaderFields): Buffer {
  const nameBytes = Buffer.byteLength(name) + 1;
  const [uid, gid, links, time, deviceMajor, deviceMinor, checksum] = [0, 0, 1, 0, 0, 0, 0];
  const fields = [inode, mode, uid, gid, links, time, size, deviceMajor, deviceMinor, major, minor, nameBytes, checksum];
  const text = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return padded(Buffer.from(`${text}${name}\0`));
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((ALIGN_BYTES - (bytes.length % ALIGN_BYTES)) % ALIGN_BYTES)]);
}
