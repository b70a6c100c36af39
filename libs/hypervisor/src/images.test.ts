import { describe, expect, it } from 'vitest';
import { failed } from './codes.ts';
import { fakeNetwork } from './fake/artifacts.ts';
import { readFakeVolume } from './fake/volumes.ts';
import { ask, DISK, hostA, KEY, SECRETS, SPEC, secretOf, UUID, VM } from './testing/drive.ts';

const RAW_BYTES = 1_048_576;
const IMAGE_SECRET = secretOf(KEY, 11);
const register = { name: 'tiny', file: 'tiny.raw', secret: IMAGE_SECRET };

async function withImport(options: Parameters<typeof hostA>[0] = {}) {
  const host = hostA(options);
  const disk = Buffer.alloc(RAW_BYTES);
  disk.write('a marker');
  await host.files.write('/i/tiny.raw', disk);
  return host;
}
const inStore = (host: Awaited<ReturnType<typeof withImport>>) =>
  host.files.paths().filter((path) => path.startsWith('/images/'));

describe('images', () => {
  it('a plain file is encrypted under the image’s key, and a VM is made from it', async () => {
    const contexts: unknown[] = [];
    const host = await withImport({
      openSecret: async ({ sealed }, context) => {
        contexts.push(context);
        return { ok: true, value: Buffer.from(sealed, 'base64') };
      },
    });
    const reply = await ask(host.agent, 'a1', 'registerImage', register);
    expect(reply).toMatchObject({ status: 'done', result: { image: { name: 'tiny', capacityBytes: RAW_BYTES } } });
    expect(contexts).toEqual([{ domain: 'csp-a.example', host: 'a1', vm: `csp-a.example/${KEY}`, epoch: 0, purpose: 'run' }]);
    expect(VM).not.toBe(`csp-a.example/${KEY}`);
    const from = { image: 'tiny', secret: IMAGE_SECRET };
    expect(await ask(host.agent, 'a1', 'createVm', { spec: SPEC, from, secrets: SECRETS })).toMatchObject({ status: 'done' });
    expect((await readFakeVolume(host.files, `/v/${UUID}/${DISK}.qcow2`))?.marker).toBe('a marker');
  });

  it('again, under any command id, it is the same image; under another key the name is taken', async () => {
    const host = await withImport();
    const [one, two] = await Promise.all([1, 2].map(() => ask(host.agent, 'a1', 'registerImage', register)));
    expect(one).toMatchObject({ status: 'done' });
    expect(two?.status === 'done' && two.result).toEqual(one?.status === 'done' && one.result);
    const other = { ...register, secret: secretOf(KEY, 12) };
    expect(await ask(host.agent, 'a1', 'registerImage', other)).toMatchObject({
      status: 'refused',
      code: 'IMAGE_NAME_TAKEN',
    });
  });

  it.each([
    ['a link', 'link.raw', 'IMPORT_REFUSED'],
    ['nothing', 'absent.raw', 'IMPORT_MISSING'],
    ['half a sector', 'short.raw', 'IMPORT_SIZE'],
  ])('%s in the import folder', async (_what, file, code) => {
    const host = await withImport();
    host.files.link('/i/link.raw');
    await host.files.write('/i/short.raw', Buffer.alloc(RAW_BYTES + 256));
    const reply = await ask(host.agent, 'a1', 'registerImage', { ...register, file });
    expect(reply).toMatchObject({ status: 'refused', code });
    expect(inStore(host)).toEqual([]);
  });

  it('a store that was tampered with: neither verified nor cloned', async () => {
    const host = await withImport();
    await ask(host.agent, 'a1', 'registerImage', register);
    const verify = () => ask(host.agent, 'a1', 'verifyImage', { name: 'tiny' });
    expect(await verify()).toMatchObject({ status: 'done' });
    await host.files.append('/images/tiny', Buffer.of(32));
    expect(await verify()).toMatchObject({ status: 'refused', code: 'IMAGE_TAMPERED' });
    const from = { image: 'tiny', secret: IMAGE_SECRET };
    expect(await ask(host.agent, 'a1', 'createVm', { spec: SPEC, from, secrets: SECRETS })).toMatchObject({
      status: 'refused',
      code: 'IMAGE_TAMPERED',
    });
  });

  it.each(
    ['volumes.encryptRaw', 'artifacts.registerImage'].flatMap((at) =>
      (['before', 'after'] as const).map((when) => [when, at] as const),
    ),
  )('a crash %s %s: nothing half registered, and asked again it is one image', async (when, at) => {
    let armed = true;
    const faults = (operation: string) => {
      if (operation !== at || !armed) return undefined;
      armed = false;
      return { when, setback: failed('STEP_ABORTED') };
    };
    const host = await withImport({ network: fakeNetwork(), faults });
    expect(await ask(host.agent, 'a1', 'registerImage', register)).toMatchObject({ status: 'failed' });
    const whole = at === 'artifacts.registerImage' && when === 'after';
    expect(inStore(host)).toEqual(whole ? ['/images/tiny'] : []);
    host.restart();
    expect(await ask(host.agent, 'a1', 'registerImage', register)).toMatchObject({ status: 'done' });
    expect(inStore(host)).toEqual(['/images/tiny']);
  });
});
