import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dsseEnvelope, PAYLOAD_TYPES } from '@carnet/events';
import { imageOf } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { specWith, VM } from '../../../libs/policy/src/testing.ts';
import { EXIT } from './exit.ts';
import { DIGEST, MIGRATION, vm } from './testing/samples.ts';
import { openStandIn, type StandIn } from './testing/stand-in.ts';
import { carnet } from './testing/terminal.ts';

let broker: StandIn;
const at = (name: string): string => join(broker.configHome, name);
const openssl = (...args: readonly string[]): string => execFileSync('openssl', args, { encoding: 'utf8' });
const put = (name: string, text: string, mode = 0o600): string => {
  writeFileSync(at(name), text);
  chmodSync(at(name), mode);
  return at(name);
};
beforeAll(async () => {
  broker = await openStandIn();
  put('passphrase', 'correct horse\n');
  put('wrong', 'battery staple\n');
  openssl('genpkey', '-algorithm', 'ed25519', '-aes256', '-pass', `file:${at('passphrase')}`, '-out', at('owner.key'));
  openssl('pkey', '-in', at('owner.key'), '-passin', `file:${at('passphrase')}`, '-pubout', '-out', at('owner.pem'));
  openssl('genpkey', '-algorithm', 'x25519', '-out', at('other.key'));
  chmodSync(at('owner.key'), 0o600);
  chmodSync(at('other.key'), 0o600);
  put('vm.json', JSON.stringify({ ...vm, vm: VM, spec: specWith() }));
}, 60_000);
afterAll(() => broker.close());

const NOT_AFTER = '2026-11-23T12:00:00.000Z';
const sign = (key: string, ...more: readonly string[]) => {
  const how = ['--from', 'csp-a.example', '--to', 'csp-b.example', '--not-after', NOT_AFTER, '--key', at(key)];
  return carnet(['consent', 'sign', at('vm.json'), ...how, '--mode', 'suspend', '--mode', 'cold', ...more], '/nowhere');
};

describe('carnet consent sign', () => {
  it('signs what it says, with an encrypted key and without any broker; OpenSSL agrees', async () => {
    const { exit, out, err } = await sign('owner.key', '--passphrase-file', at('passphrase'), '--epoch', '3', '--serial', 'no-1');
    expect([exit, err]).toEqual([0, expect.stringContaining(`consent no-1: ${VM} from csp-a.example to csp-b.example, cold or`)]);
    const { payloadType, payload, signatures } = dsseEnvelope.parse(JSON.parse(out));
    const bytes = Buffer.from(payload, 'base64');
    expect(JSON.parse(bytes.toString())).toEqual({
      consents: 'migration',
      serial: 'no-1',
      vm: VM,
      image: imageOf(specWith(), policyCrypto.hash),
      source: 'csp-a.example',
      target: 'csp-b.example',
      modes: ['cold', 'suspend'],
      notBefore: expect.stringMatching(/Z$/),
      notAfter: NOT_AFTER,
      epoch: 3,
    });
    // DSSE 1.0.2: what is signed.
    writeFileSync(at('pae'), `DSSEv1 ${PAYLOAD_TYPES.consent.length} ${payloadType} ${bytes.length} ${bytes}`);
    writeFileSync(at('sig'), Buffer.from(signatures[0]?.sig ?? '', 'base64'));
    const verified = ['-verify', '-pubin', '-inkey', at('owner.pem'), '-rawin', '-in', at('pae'), '-sigfile', at('sig')];
    expect(openssl('pkeyutl', ...verified)).toContain('Signature Verified Successfully');
  });

  it.each([
    ['no passphrase', 'owner.key', []],
    ['another passphrase', 'owner.key', ['--passphrase-file', 'wrong']],
    ['a key of another kind', 'other.key', []],
    ['the public half', 'owner.pem', []],
    ['no such key', 'nowhere.key', []],
  ])('with %s: nothing is signed, and nothing said of the key', async (_, key, more) => {
    const { exit, out, err } = await sign(key, ...more.map((one) => (one.startsWith('--') ? one : at(one))));
    expect([exit, out, err]).toEqual([EXIT.usage, '', expect.stringContaining('SIGNING_KEY_UNREADABLE')]);
    expect(err).not.toContain('PRIVATE');
  });

  it('with a key that others can read, or a window that is none: usage', async () => {
    chmodSync(at('owner.key'), 0o644);
    expect((await sign('owner.key', '--passphrase-file', at('passphrase'))).err).toContain('KEY_EXPOSED');
    chmodSync(at('owner.key'), 0o600);
    const { exit, err } = await sign('owner.key', '--passphrase-file', at('passphrase'), '--not-before', 'now');
    expect([exit, err]).toEqual([EXIT.usage, expect.stringContaining('notBefore')]);
  });
});

describe('its owner', () => {
  it('is named by the public key alone; a private key is never read as one', async () => {
    broker.script({ [`POST /v1/vms/${VM}/restrictions`]: { json: vm } });
    const done = await carnet(['vm', 'owner', VM, '--key', at('owner.pem')], broker.configHome);
    const sent = broker.seen.at(-1)?.body;
    const der = Buffer.from(readFileSync(at('owner.pem'), 'utf8').split('\n')[1] ?? '', 'base64');
    expect([done.exit, sent]).toEqual([0, { owner: der.subarray(-32).toString('base64') }]);
    await carnet(['vm', 'owner', VM, '--none'], broker.configHome);
    expect(broker.seen.at(-1)?.body).toEqual({ owner: null });
    const before = broker.seen.length;
    for (const args of [['--key', at('owner.key')], ['--key', at('other.key')], [], ['--none', '--key', at('owner.pem')]])
      expect((await carnet(['vm', 'owner', VM, ...args], broker.configHome)).exit).toBe(EXIT.usage);
    expect(broker.seen).toHaveLength(before);
  });

  it('’s consent goes with the wish, as it was signed', async () => {
    const { out } = await sign('owner.key', '--passphrase-file', at('passphrase'));
    put('consent.json', out);
    broker.script({ 'POST /v1/intents': { json: { migration: MIGRATION, digest: DIGEST, repeated: false } } });
    const start = ['migration', 'start', VM, '--to', 'csp-b.example', '--context', 'scheduler', '--consent'];
    expect((await carnet([...start, at('consent.json')], broker.configHome)).exit).toBe(0);
    expect(broker.seen.at(-1)?.body).toMatchObject({ data: { consent: JSON.parse(out) } });
    expect(await carnet([...start, at('vm.json')], broker.configHome)).toMatchObject({
      exit: EXIT.usage,
      err: expect.stringContaining('carnet consent sign'),
    });
  });
});
