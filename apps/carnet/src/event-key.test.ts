import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { EXIT } from './exit.ts';
import { carnet } from './testing/terminal.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-event-key-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const file = join(dir, 'event.key');
const put = (text: string, mode = 0o600): void => {
  writeFileSync(file, text);
  chmodSync(file, mode);
};
const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

it('a new key takes the place of the old one, whole and private; its secret is not shown', async () => {
  put(key);
  const { exit, out } = await carnet(['cert', 'rotate-event-key', '--file', file, '-f', 'json'], '/nowhere');
  expect(exit).toBe(EXIT.done);
  const said = JSON.parse(out);
  expect(said).toMatchObject({ outcome: 'rotated' });
  expect(said.keyid).not.toBe(said.before);
  const written = readFileSync(file, 'utf8');
  expect(written).not.toBe(key);
  expect(out).not.toContain(written.split('\n')[1] ?? 'nothing');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir)).toEqual(['event.key']);
  const young = await carnet(['cert', 'rotate-event-key', '--file', file, '--older-than-days', '30', '-f', 'json'], '/nowhere');
  expect(JSON.parse(young.out)).toMatchObject({ outcome: 'young enough', keyid: said.keyid });
  expect(readFileSync(file, 'utf8')).toBe(written);
});

it.each([
  ['that is none', 'no key', 0o600],
  ['that others can read', key, 0o644],
])('a key file %s is left as it is', async (_, text, mode) => {
  put(text, mode);
  const { exit, err } = await carnet(['cert', 'rotate-event-key', '--file', file], '/nowhere');
  expect(exit).toBe(EXIT.failed);
  expect(err).toContain('EVENT_KEY_UNREADABLE');
  expect(readFileSync(file, 'utf8')).toBe(text);
});
