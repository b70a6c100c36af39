import { describe, expect, it } from 'vitest';
import { keysConfig } from './key-config.ts';

const sealed = { rootFile: '/r', passphraseFile: '/p' };
const keystone = { url: 'https://keystone.example', credentialId: 'c', credentialSecretFile: '/s' };
const remote = { url: 'https://barbican.example', keystone };
const token = { backend: 'pkcs11', module: '/usr/lib/m.so', token: 't', pinFile: '/pin' };
const faults = (given: unknown): readonly string[] => {
  const parsed = keysConfig.safeParse(given);
  return parsed.success ? [] : parsed.error.issues.map(({ path }) => path.join('.'));
};

describe('[keys]', () => {
  it.each([
    ['a sealed file, unsaid', sealed, 'file'],
    ['a sealed file', { backend: 'file', ...sealed }, 'file'],
    ['its passphrase as a credential', { rootFile: '/r', passphraseCredential: 'p' }, 'file'],
    ['a token', token, 'pkcs11'],
    ['Barbican with Keystone', { backend: 'barbican', ...sealed, barbican: remote }, 'barbican'],
    [
      'Barbican without, on this machine',
      { backend: 'barbican', ...sealed, barbican: { url: 'http://127.0.0.1:9311', project: 'p' } },
      'barbican',
    ],
  ])('%s', (_name, given, backend) => {
    expect(keysConfig.parse(given)).toMatchObject({ backend });
  });

  it.each([
    ['two passphrases', { ...sealed, passphraseCredential: 'p' }, ['passphraseFile']],
    ['no passphrase', { rootFile: '/r' }, ['passphraseFile']],
    ['a PIN in the file', { ...token, pin: '1234' }, ['']],
    ['a library by name', { ...token, module: 'm.so' }, ['module']],
    [
      'plain HTTP elsewhere',
      { backend: 'barbican', ...sealed, barbican: { ...remote, url: 'http://barbican.example' } },
      ['barbican.url'],
    ],
    [
      'no Keystone elsewhere',
      { backend: 'barbican', ...sealed, barbican: { url: 'https://b.example', project: 'p' } },
      ['barbican.project'],
    ],
    [
      'neither Keystone nor project',
      { backend: 'barbican', ...sealed, barbican: { url: 'https://b.example' } },
      ['barbican.keystone'],
    ],
    [
      'several faults, all told',
      { backend: 'barbican', barbican: { url: 'ftp://b.example', keystone: { ...keystone, url: 'x' } } },
      ['rootFile', 'barbican.url', 'barbican.keystone.url'],
    ],
    ['another back end', { backend: 'vault' }, ['backend']],
  ])('%s is refused', (_name, given, paths) => {
    expect(faults(given)).toEqual(paths);
  });
});
