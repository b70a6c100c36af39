import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiKey } from './testing/samples.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

const SECRET = `carnet_${apiKey.id}_${'s'.repeat(43)}`;
let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn();
}, 60_000);
afterAll(() => broker.close());

const create = (file: string) =>
  carnet(['apikey', 'create', 'nightly', '--role', 'scheduler', 'viewer', '--out', file], broker.configHome);

describe('apikey create', () => {
  it('puts the key into a file for its owner only, and shows it nowhere', async () => {
    broker.script({ 'POST /v1/apikeys': { json: { ...apiKey, apiKey: SECRET } } });
    const file = join(broker.configHome, 'nightly.key');
    const { exit, out, err } = await create(file);
    expect(exit).toBe(0);
    expect(broker.seen[0]?.body).toEqual({ name: 'nightly', roles: ['scheduler', 'viewer'], days: 90 });
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual([`${SECRET}\n`, 0o600]);
    expect(out + err).not.toContain(SECRET);
  });

  it('refused: no file is left', async () => {
    broker.script({ 'POST /v1/apikeys': { status: 409, json: { code: 'API_KEY_EXISTS', text: 'because' } } });
    const file = join(broker.configHome, 'refused.key');
    expect(await create(file)).toMatchObject({ exit: 5, err: expect.stringContaining('API_KEY_EXISTS') });
    expect(existsSync(file)).toBe(false);
  });

  it('overwrites nothing, and then asks for nothing', async () => {
    broker.script({ 'POST /v1/apikeys': { json: { ...apiKey, apiKey: SECRET } } });
    const file = join(broker.configHome, 'there.key');
    writeFileSync(file, 'mine');
    expect(await create(file)).toMatchObject({ exit: 2, err: expect.stringContaining('ARGUMENT_INVALID') });
    expect([readFileSync(file, 'utf8'), broker.seen]).toEqual(['mine', []]);
  });
});
