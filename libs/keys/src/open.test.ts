import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trustDomain } from '@carnet/events';
import { afterAll, describe, expect, it } from 'vitest';
import { openEmptyStore } from '../../store/src/testing.ts';
import { declareRootLost, openKeyManager } from './open.ts';
import { createRootFile } from './root-file.ts';
import { inlineProcess } from './testing/inline-process.ts';
import { must, NOW } from './testing/two-sides.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-open-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('a start of the key manager that a disk or the database ends', () => {
  it.each([
    ['openKeyManager', openKeyManager],
    ['declareRootLost', declareRootLost],
  ] as const)('%s closes what it had opened: it is tried again for as long as it takes', async (_, open) => {
    const [path, passphrase] = [join(dir, `${_}.json`), join(dir, 'passphrase')];
    writeFileSync(passphrase, `${randomBytes(24).toString('base64')}\n`);
    chmodSync(passphrase, 0o600);
    const unlock = { kind: 'file', path: passphrase } as const;
    let closed = 0;
    const close = (): void => {
      closed += 1;
    };
    const process = { ...inlineProcess(), close };
    must(await createRootFile({ path, unlock, process, random: randomBytes, cost: 16_384 }));
    const store = await openEmptyStore(join(dir, `${_}-db`));
    const domain = trustDomain.parse('csp-a.example');
    const options = { store, root: { kind: 'file', path, unlock }, spareDir: passphrase, domain, actor: 'a' } as const;
    await expect(open({ ...options, now: () => NOW, random: randomBytes, process })).rejects.toThrow(/EEXIST|ENOTDIR/);
    expect(closed).toBe(1);
    await store.close();
  });
});
