import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FRAME_BYTES_MAX } from '../limits.ts';
import { encodeFrame, type Frame, readFrames } from './frames.ts';

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield Uint8Array.from(bytes.subarray(at, at + size));
}

async function all(stream: AsyncIterable<Uint8Array>): Promise<readonly Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of readFrames(stream)) frames.push(frame);
  return frames;
}

describe('frames', () => {
  it('come out as they went in, however the stream is cut', async () => {
    const message = fc.record({ header: fc.jsonValue(), secret: fc.uint8Array({ maxLength: 64 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 5 }), fc.integer({ min: 1, max: 70 }), async (messages, size) => {
        const bytes = Buffer.concat(messages.map(({ header, secret }) => encodeFrame(header, secret)));
        const frames = await all(cut(bytes, size));
        expect(frames.map(({ header, secret }) => [header, [...secret]])).toEqual(
          messages.map(({ header, secret }) => [JSON.parse(JSON.stringify(header)), [...secret]]),
        );
      }),
    );
  });

  it('zeroes the chunks it has read', async () => {
    const chunk = Uint8Array.from(encodeFrame({}, Buffer.from('secret')));
    async function* once() {
      yield chunk;
    }
    await all(once());
    expect(chunk.every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    ['total too large', [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
    ['header longer than the frame', [0, 0, 0, 1, 0, 0, 0, 2, 0]],
    ['header is not JSON', [0, 0, 0, 1, 0, 0, 0, 1, 0x7b]],
    ['ends inside a frame', [0, 0, 0, 9, 0, 0, 0, 1, 0x31]],
  ])('refuses: %s', async (_name, bytes) => {
    await expect(all(cut(Buffer.from(bytes), 3))).rejects.toMatchObject({ code: 'CHILD_PROTOCOL' });
  });

  it('refuses to write more than it would read', () => {
    expect(() => encodeFrame({}, Buffer.alloc(FRAME_BYTES_MAX))).toThrow(/at most/);
  });
});
