import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SAVED_STATE_HEAD_BYTES, savedStateFault } from './saved-state.ts';

const head = (
  over: { readonly magic?: string; readonly version?: number; readonly data?: number; readonly compressed?: number } = {},
): Buffer => {
  const bytes = Buffer.alloc(SAVED_STATE_HEAD_BYTES);
  bytes.write(over.magic ?? 'LibvirtQemudSave', 'latin1');
  bytes.writeUInt32LE(over.version ?? 2, 16);
  bytes.writeUInt32LE(over.data ?? 8_192, 20);
  bytes.writeUInt32LE(over.compressed ?? 0, 28);
  return bytes;
};

describe('saved memory state', () => {
  it('lets a plain, whole file through', () => {
    expect(savedStateFault(head())).toBeUndefined();
  });

  it.each([
    ['an unfinished one', head({ magic: 'LibvirtQemudPart' })],
    ['another version', head({ version: 3 })],
    ['a description without end', head({ data: 0xffff_ffff })],
    ['one that selects a program', head({ compressed: 3 })],
    ['a short one', head().subarray(0, 40)],
    ['none', Buffer.alloc(0)],
  ])('refuses %s', (_, bytes) => {
    expect(savedStateFault(bytes)).toMatchObject({ code: 'MEMORY_STATE_REFUSED' });
  });

  it('refuses noise', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => savedStateFault(Buffer.from(noise)) !== undefined));
  });
});
