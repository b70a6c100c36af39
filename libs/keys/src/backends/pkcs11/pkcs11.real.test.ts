import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type SoftHsmToken, scratch, softhsmToken } from '@carnet/dev';
import { trustDomain } from '@carnet/events';
import type { Handle } from 'pkcs11js';
import { beforeAll, describe, expect, it } from 'vitest';
import { CREATE_KEK, REWRAP } from '../../child/operations.ts';
import { startKeyProcess } from '../../child/pool.ts';
import { type KeyChild, spawnChild, spawnTokenChild } from '../../child/spawn.ts';
import { tokenRoot } from '../../testing/managers.ts';
import { must, TENANT } from '../../testing/two-sides.ts';
import { encodeCustody } from '../custody-spec.ts';
import { openKeyService, withoutPin } from '../service.ts';
import { createTokenRoot } from '../token-root.ts';
import { keysLabelled, login, openSlot, type TokenSlot } from './module.ts';

let token: SoftHsmToken;
/** The same token, opened by this test as any program with its PIN could. */
let slot: TokenSlot;
let session: Handle;
const pin = (): Buffer => readFileSync(token.pinFile);

beforeAll(async () => {
  token = softhsmToken({ dir: join(scratch('hsm'), 'token'), label: 'carnet' });
  must(await createTokenRoot(tokenRoot(token)));
  const opened = await openSlot(withoutPin(tokenRoot(token)));
  if (!opened.ok) throw new Error(opened.code);
  slot = opened.value;
  const loggedIn = login(slot, pin(), 'write');
  if (!loggedIn.ok) throw new Error(loggedIn.code);
  session = loggedIn.value;
});

const holder = trustDomain.parse('csp-a.example');
const open = (over: Partial<ReturnType<typeof tokenRoot>> = {}) =>
  openKeyService({ root: { ...tokenRoot(token), ...over }, holder });
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'done';
  } catch (error) {
    return error instanceof Error ? error.message : 'unknown';
  }
};
const makeAes = (label: string, over: Readonly<Record<number, boolean>>): Handle => {
  const { p11, names } = slot;
  return p11.C_GenerateKey(session, { mechanism: names.CKM_AES_KEY_GEN }, [
    { type: names.CKA_CLASS, value: names.CKO_SECRET_KEY },
    { type: names.CKA_KEY_TYPE, value: names.CKK_AES },
    { type: names.CKA_VALUE_LEN, value: 32 },
    { type: names.CKA_LABEL, value: label },
    { type: names.CKA_TOKEN, value: true },
    ...Object.entries(over).map(([type, value]) => ({ type: Number(type), value })),
  ]);
};

describe('the root in a token', () => {
  it('cannot be read, wrapped, copied or made extractable, not even with the PIN', () => {
    const { p11, names } = slot;
    const [root] = keysLabelled(slot, session, 'carnet-root');
    if (root === undefined) throw new Error('no root');
    const wrapping = makeAes('thief', { [names.CKA_WRAP]: true, [names.CKA_ENCRYPT]: true });
    const wrap = { mechanism: names.CKM_AES_KEY_WRAP };
    expect(codeOf(() => p11.C_GetAttributeValue(session, root, [{ type: names.CKA_VALUE }]))).toContain(
      'CKR_ATTRIBUTE_SENSITIVE',
    );
    expect(codeOf(() => p11.C_WrapKey(session, wrap, wrapping, root, Buffer.alloc(64)))).toContain('CKR_KEY_UNEXTRACTABLE');
    for (const attribute of [
      { type: names.CKA_EXTRACTABLE, value: true },
      { type: names.CKA_SENSITIVE, value: false },
    ]) {
      expect(codeOf(() => p11.C_SetAttributeValue(session, root, [attribute]))).toContain('CKR_');
      expect(codeOf(() => p11.C_CopyObject(session, root, [attribute]))).toContain('CKR_');
    }
  });

  it('is made once', async () => {
    expect(await createTokenRoot(tokenRoot(token))).toMatchObject({ code: 'TOKEN_KEY_EXISTS' });
    expect(keysLabelled(slot, session, 'carnet-root')).toHaveLength(1);
  });

  it('that is not guarded, or not the only one of its label, is refused', async () => {
    const { names } = slot;
    makeAes('exposed', { [names.CKA_EXTRACTABLE]: true, [names.CKA_SENSITIVE]: false });
    expect(await open({ key: 'exposed' })).toMatchObject({ code: 'TOKEN_KEY_EXPOSED' });
    makeAes('twice', {});
    makeAes('twice', {});
    expect(await open({ key: 'twice' })).toMatchObject({ code: 'TOKEN_KEY_AMBIGUOUS' });
  });

  it.each([
    ['no key', { key: 'nothing' }, 'TOKEN_KEY_MISSING'],
    ['no token', { token: 'nothing' }, 'TOKEN_MISSING'],
    ['no library', { module: '/nonexistent/pkcs11.so' }, 'PKCS11_MODULE_UNUSABLE'],
    ['no PIN file', { pin: { kind: 'file', path: '/nonexistent/pin' } as const }, 'PASSPHRASE_UNREADABLE'],
  ])('%s has its code', async (_name, over, code) => {
    expect(await open(over)).toMatchObject({ ok: false, code });
  });

  it('a wrong PIN is tried once, and a PIN that others can read not at all', async () => {
    const path = join(scratch('pin'), 'pin');
    writeFileSync(path, 'wrong-pin', { mode: 0o600 });
    expect(await open({ pin: { kind: 'file', path } })).toMatchObject({ code: 'TOKEN_PIN_WRONG' });
    const exposed = join(scratch('pin'), 'pin');
    writeFileSync(exposed, pin(), { mode: 0o644 });
    expect(await open({ pin: { kind: 'file', path: exposed } })).toMatchObject({ code: 'PASSPHRASE_EXPOSED' });
  });

  it('without the native package the refusal names it', async () => {
    // A child that may load no native code stands for a machine without it: the import fails in the same place.
    const refused = await openKeyService({ root: tokenRoot(token), holder, process: startKeyProcess(spawnChild) });
    expect(refused).toMatchObject({ code: 'PKCS11_PACKAGE_MISSING', text: expect.stringContaining('pkcs11js') });
  });

  it('another root opens nothing of it', async () => {
    const other = { ...tokenRoot(token), key: 'other-root' };
    must(await createTokenRoot(other));
    const [mine, theirs] = [must(await open()), must(await openKeyService({ root: other, holder }))];
    const kek = must(await mine.call(CREATE_KEK, { tenant: TENANT, version: 1 }));
    expect(await theirs.call(REWRAP, { keks: [kek], deks: [] })).toMatchObject({ code: 'KEK_UNOPENABLE' });
    expect(await mine.call(REWRAP, { keks: [kek], deks: [] })).toEqual({ ok: true, value: [] });
    const changed = { ...kek, tenant: TENANT, version: 2 };
    expect(await mine.call(REWRAP, { keks: [changed], deks: [] })).toMatchObject({ code: 'KEK_UNOPENABLE' });
    mine.close();
    theirs.close();
  });

  it('its PIN is in no argument and no environment', async () => {
    const seen: Buffer[] = [];
    const look = (child: KeyChild): void => {
      for (const file of ['cmdline', 'environ']) seen.push(readFileSync(`/proc/${child.pid}/${file}`));
    };
    const process = startKeyProcess(() => {
      const child = spawnTokenChild();
      child.once('spawn', () => look(child));
      // The end of the output is readable too, and then the child is gone.
      child.stdout.once('readable', () => {
        if (child.stdout.readableLength > 0) look(child);
      });
      return child;
    });
    const custody = encodeCustody({ root: withoutPin(tokenRoot(token)), rootSecret: pin() });
    expect(await process.call(CREATE_KEK, { tenant: TENANT, version: 1 }, custody)).toMatchObject({ ok: true });
    process.close();
    expect(seen.some((bytes) => bytes.includes('main.ts'))).toBe(true);
    expect(seen.filter((bytes) => bytes.includes(pin()))).toEqual([]);
    expect(pin().length).toBeGreaterThan(16);
  });
});
