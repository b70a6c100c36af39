import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { type NoteSigner, openNote, signNote } from './note.ts';
import { keyOf } from './testing/ledger.ts';

const line = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 });
const checkpoints = fc.record({
  origin: line,
  size: fc.maxSafeNat(),
  root: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  extensions: fc.array(line, { maxLength: 3 }),
});
const signerOf = (name: string, n: number): NoteSigner => ({ name, ...keyOf(n) });
const log = signerOf('csp-a.example/ledger/csp-b.example', 0);
const witness = signerOf('csp-b.example/witness', 1);

/** The example of go.dev/issue/go25530-notary, which golang.org/x/mod/sumdb/note tests with. */
const GO_TEXT = 'If you think cryptography is the answer to your problem,\nthen you don’t know what your problem is.\n'.replace(
  '’',
  "'",
);
const GO_NOTE = `${GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;
const GO_KEY = Buffer.from(
  'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'.split('+').slice(2).join('+'),
  'base64',
).subarray(1);

describe('checkpoints', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(checkpoints, (checkpoint) => {
        expect(decodeCheckpoint(encodeCheckpoint(checkpoint))).toEqual({ ok: true, value: checkpoint });
      }),
    );
  });

  it('have one spelling', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), checkpoints.map(encodeCheckpoint)), (text) => {
        const decoded = decodeCheckpoint(text);
        expect(decoded.ok ? encodeCheckpoint(decoded.value) : text).toBe(text);
      }),
    );
  });

  it.each([
    'a\n1\nAAAA\n',
    `a\n01\n${'A'.repeat(43)}=\n`,
    `a\n1\n${'A'.repeat(42)}B=\n`,
    `a\n-1\n${'A'.repeat(43)}=\n`,
    `a\n9007199254740993\n${'A'.repeat(43)}=\n`,
    `\n1\n${'A'.repeat(43)}=\n`,
    `a\n1\n${'A'.repeat(43)}=`,
    `a\n1\n${'A'.repeat(43)}=\n\n`,
  ])('refuse %j', (text) => {
    expect(decodeCheckpoint(text)).toMatchObject({ code: 'CHECKPOINT_MALFORMED' });
  });

  it('cannot be made of what could not be read', () => {
    const bad = { origin: 'two\nlines', size: 1, root: new Uint8Array(32), extensions: [] };
    expect(() => encodeCheckpoint(bad)).toThrow('RANGE');
    expect(() => encodeCheckpoint({ ...bad, origin: 'a', size: 0.5 })).toThrow('RANGE');
  });
});

describe('signed notes', () => {
  const text = encodeCheckpoint({ origin: log.name, size: 7, root: new Uint8Array(32), extensions: [] });
  const note = signNote(text, [log, witness]);

  it('verify the example of Go’s checksum database', () => {
    const opened = openNote(new TextEncoder().encode(GO_NOTE), [{ name: 'PeterNeumann', publicKey: GO_KEY }]);
    expect(opened).toEqual({ ok: true, value: { text: GO_TEXT, signers: ['PeterNeumann'] } });
  });

  it('name every known signer and skip unknown ones', () => {
    expect(openNote(note, [log, witness])).toMatchObject({ ok: true, value: { text, signers: [log.name, witness.name] } });
    expect(openNote(note, [witness])).toMatchObject({ value: { signers: [witness.name] } });
    expect(openNote(note, [])).toMatchObject({ code: 'SIGNER_UNKNOWN' });
    expect(openNote(note, [{ ...log, name: 'other' }])).toMatchObject({ code: 'SIGNER_UNKNOWN' });
  });

  it('refuse any damage', () => {
    fc.assert(
      fc.property(fc.nat(note.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = note.map((byte, i) => (i === at ? byte ^ flip : byte));
        const opened = openNote(damaged, [log, witness]);
        // A signature line may become an unknown key's; the text never changes under a valid one.
        expect(opened.ok ? opened.value.text : text).toBe(text);
        expect(opened.ok ? opened.value.signers.length : 0).toBeLessThan(2);
      }),
      { numRuns: 300 },
    );
  });
});
