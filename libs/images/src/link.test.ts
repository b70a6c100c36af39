import { expect, test } from 'vitest';
import { openArtifact } from './fetch-manifest.ts';
import { encodeFrame } from './frame.ts';
import { openLink } from './link.ts';
import { settle } from './outcome.ts';
import { accept, codeOf, content, served } from './testing/fixture.ts';

/** What a phase ends with whose sink throws that, when the source's digests arrive. */
async function endBy(thrown: unknown): Promise<string> {
  const source = await served(content(100_000));
  const { migration, expect: sealed, ...to } = source.request;
  const link = await openLink({ ...to, verifyPeer: accept, stallMs: 5_000 });
  try {
    await openArtifact(link, { migration, artifact: sealed.artifact, root: sealed.root });
    const payload = Buffer.alloc(65_536);
    link.use({
      begin: (head) => payload.subarray(0, head.length),
      complete: () => {
        throw thrown;
      },
    });
    link.send(encodeFrame('ask-digests', 0));
    return codeOf(await settle(() => link.lost));
  } finally {
    link.close();
    await source.close();
  }
}
const errno = (code: string): Error => Object.assign(new Error(code), { code });

test.each([
  ['a full disk', 'DISK_FULL', errno('ENOSPC')],
  ['a broken disk', 'DISK_FAILED', errno('EIO')],
  ['a fault of our own', 'LINK_LOST', new TypeError('x is not a function')],
  ['a system error that no file has', 'LINK_LOST', errno('ECONNRESET')],
])('%s in the middle of a frame is told as %s', async (_, code, thrown) => {
  expect(await endBy(thrown)).toBe(code);
});
