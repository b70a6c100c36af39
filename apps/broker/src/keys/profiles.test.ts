import { expect, it } from 'vitest';
import { brokerConfig } from '../config.ts';
import { KEM_OF, type Profile, profileFault } from './profiles.ts';

it.each<[Profile, readonly Profile[], boolean]>([
  ['hybrid', ['hybrid'], true],
  ['hsm', ['hsm'], true],
  ['hsm', ['hybrid', 'hsm'], true],
  ['hsm', ['hybrid'], false],
  ['hybrid', ['hsm'], false],
])('an offer of %s, where keys leave by %j: %s', (offered, leaving, fits) => {
  const fault = profileFault(
    { kem: KEM_OF[offered] },
    leaving.map((one) => KEM_OF[one]),
  );
  expect(fault?.code).toBe(fits ? undefined : 'PROFILE_NOT_ACCEPTED');
});

it('what arrives can only be sealed to a key in a token where there is one', () => {
  const sealed = { rootFile: '/r', passphraseFile: '/p' };
  const token = { backend: 'pkcs11', module: '/m.so', token: 't', pinFile: '/pin' };
  const faults = (keys: object) => {
    const parsed = brokerConfig.safeParse({ ...CONFIG, keys, profile: { arriving: 'hsm' } });
    return parsed.error?.issues.map(({ path }) => path.join('.')) ?? [];
  };
  expect(faults(sealed)).toEqual(['profile.arriving']);
  expect(faults(token)).toEqual([]);
  expect(brokerConfig.parse({ ...CONFIG, keys: sealed }).profile).toEqual({ arriving: 'hybrid', leaving: ['hybrid'] });
});

const CONFIG = {
  domain: 'csp-a.example',
  stateDirectory: '/s',
  identity: { certificateFile: '/c', keyFile: '/k', eventKeyFile: '/e' },
  trust: { rootFile: '/r', crlDirectory: '/d' },
  bus: { url: 'tls://127.0.0.1:1', domain: 'bus.example', serverName: 'n' },
  peers: [{ domain: 'csp-b.example' }],
  hosts: [{ name: 'hv1' }],
  http: { port: 1 },
  ops: { port: 2 },
  policy: { directory: '/p' },
};
