// The decisions of set-up, without touching the machine.
import { describe, expect, test } from 'vitest';
import { AptFailed, aptHint } from './apt.mjs';
import { kernelPackage } from './guest-parts.mjs';
import { isInstalled } from './lockfile.mjs';
import { isAtLeast, missingFeatures, NATS_WANTED, parseNatsVersion } from './nats-version.mjs';
import { npmHint } from './npm.mjs';
import { installCommand, missingPackages, packagesFor } from './packages.mjs';
import { isComplete, obstacles } from './plan.mjs';
import { parseOsRelease, platformProblems } from './platform.mjs';
import { debianMirror, parseSources } from './sources.mjs';
import { missingUsers } from './users.mjs';

const bookworm =
  'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n# a comment\n';

describe('the platform', () => {
  const debian = { platform: 'linux', arch: 'x64', osRelease: parseOsRelease(bookworm), nodeVersion: 'v20.20.2' };

  test('os-release is read with and without quotes', () => {
    expect(parseOsRelease(bookworm)).toEqual({
      PRETTY_NAME: 'Debian GNU/Linux 12 (bookworm)',
      VERSION_ID: '12',
      VERSION_CODENAME: 'bookworm',
      ID: 'debian',
    });
    expect(parseOsRelease('')).toEqual({});
    expect(parseOsRelease('NAME=\'single\'\nTITLE="a \\"b\\""')).toEqual({ NAME: 'single', TITLE: 'a "b"' });
  });

  test.each([
    ['Debian 12 on x64', {}],
    ['on arm64', { arch: 'arm64' }],
    ['Debian 13', { osRelease: { ID: 'debian', VERSION_ID: '13' } }],
    ['Debian testing, which has no number', { osRelease: { ID: 'debian' } }],
    ['a newer Node', { nodeVersion: 'v24.1.0' }],
  ])('%s will do', (_, change) => {
    expect(platformProblems({ ...debian, ...change })).toEqual([]);
  });

  test.each([
    ['macOS', { platform: 'darwin' }, 'this is darwin'],
    ['Debian 11', { osRelease: { ID: 'debian', VERSION_ID: '11', PRETTY_NAME: 'Debian 11' } }, 'this is Debian 11'],
    ['Ubuntu', { osRelease: { ID: 'ubuntu', VERSION_ID: '24.04', PRETTY_NAME: 'Ubuntu 24.04' } }, 'this is Ubuntu 24.04'],
    ['no os-release at all', { osRelease: {} }, 'an unknown system'],
    ['RISC-V', { arch: 'riscv64' }, 'this is riscv64'],
    ['Node 18', { nodeVersion: 'v18.19.0' }, 'this is v18.19.0'],
  ])('%s will not do', (_, change, says) => {
    expect(platformProblems({ ...debian, ...change })).toEqual([expect.stringContaining(says)]);
  });

  test('all problems are told at once', () => {
    expect(platformProblems({ platform: 'linux', arch: 'mips', osRelease: {}, nodeVersion: 'v16.0.0' })).toHaveLength(3);
  });
});

describe('Debian packages', () => {
  test('only tests need a browser and Python, only benchmarks need the rivals', () => {
    const release = { VERSION_ID: '12' };
    expect(packagesFor('infra/dev/src/demo.ts', release)).not.toContain('chromium');
    expect(packagesFor('infra/dev/src/demo.ts', release)).not.toContain('python3');
    expect(packagesFor('test/run.ts', release)).toEqual(expect.arrayContaining(['chromium', 'python3']));
    expect(packagesFor(undefined, release)).toEqual(expect.arrayContaining(['chromium', 'python3']));
    expect(packagesFor('test/bench/main.ts', release)).toEqual(expect.arrayContaining(['libvirt-daemon', 'rsync', 'nbdkit']));
    expect(packagesFor('test/bench/main.ts', release)).not.toContain('chromium');
    expect(packagesFor('test/run.ts', release)).not.toContain('nbdkit');
    expect(packagesFor('test/faults/nightly/main.ts', release)).toEqual(
      expect.arrayContaining(['libvirt-daemon', 'swtpm', 'iproute2']),
    );
    expect(packagesFor('test/faults/nightly/main.ts', release)).not.toContain('chromium');
  });

  test('only tests and benchmarks need the key managers of others', () => {
    const release = { VERSION_ID: '12' };
    expect(packagesFor('infra/dev/src/demo.ts', release)).not.toContain('barbican-api');
    for (const script of ['test/run.ts', 'test/bench/main.ts', undefined])
      expect(packagesFor(script, release)).toEqual(expect.arrayContaining(['softhsm2', 'barbican-api', 'keystone', 'g++']));
  });

  test('Debian 13 has two of libvirt’s drivers in packages of their own', () => {
    expect(packagesFor('infra/dev/src/demo.ts', { VERSION_ID: '12' })).not.toContain('libvirt-daemon-driver-secret');
    expect(packagesFor('infra/dev/src/demo.ts', { VERSION_ID: '13' })).toContain('libvirt-daemon-driver-secret');
  });

  test('removed and unknown packages are missing', () => {
    const dpkg = 'swtpm installed\nopenssl config-files\nqemu-utils half-installed\n';
    expect(missingPackages(['swtpm', 'openssl', 'qemu-utils', 'chromium'], dpkg)).toEqual(['openssl', 'qemu-utils', 'chromium']);
    expect(missingPackages(['swtpm'], '')).toEqual(['swtpm']);
  });

  test('the command for those without rights can be pasted', () => {
    expect(installCommand(['swtpm', 'openssl'])).toBe('sudo apt-get install -y --no-install-recommends swtpm openssl');
  });

  test.each([
    ['E: Could not get lock /var/lib/dpkg/lock-frontend', 'another apt'],
    ['Err:1 http://mirror.example bookworm InRelease\n  Temporary failure resolving', 'cannot be reached'],
    ["E: You don't have enough free space: No space left on device", 'disk is full'],
    ["The following signatures couldn't be verified: NO_PUBKEY 0E98", 'archive key'],
  ])('apt said %j', (output, hint) => {
    expect(aptHint(output)).toContain(hint);
  });

  test('lists past their date are told apart', () => {
    const expired = new AptFailed(
      'E: Release file for http://mirror.example/debian/dists/testing/InRelease is expired (invalid since 17d)',
    );
    expect(expired.isExpired).toBe(true);
    expect(expired.message).toContain('out of date');
    expect(new AptFailed('E: other').isExpired).toBe(false);
  });

  test('an unknown failure gets no invented reason', () => {
    expect(aptHint('E: Something else')).toBeUndefined();
    expect(npmHint('Something else')).toBe('');
    expect(npmHint('npm error code EAI_AGAIN')).toContain('cannot be reached');
  });
});

describe('the mirror', () => {
  const stanza = (fields) =>
    Object.entries(fields)
      .map(([key, value]) => `${key}: ${value}`)
      .join('\n');
  const archive = stanza({
    Types: 'deb',
    URIs: 'http://mirror.example/debian',
    Suites: 'bookworm bookworm-updates',
    Components: 'main',
    'Signed-By': '/k.gpg',
  });
  const security = stanza({ Types: 'deb', URIs: 'http://mirror.example/debian-security', Suites: 'bookworm-security' });
  const other = stanza({ Types: 'deb', URIs: 'https://vendor.example/node', Suites: 'nodistro' });

  test('is found among others in the new format', () => {
    const sources = parseSources([{ name: 'debian.sources', text: `${other}\n\n${security}\n\n# note\n${archive}\n` }]);
    expect(sources).toHaveLength(3);
    expect(debianMirror(sources, 'bookworm')).toEqual({
      uri: 'http://mirror.example/debian',
      suites: ['bookworm', 'bookworm-updates'],
      signedBy: '/k.gpg',
    });
  });

  test('is found in the old format', () => {
    const text =
      '# deb http://old.example/debian bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main\ndeb-src http://mirror.example/debian bookworm main\n';
    expect(debianMirror(parseSources([{ name: 'sources.list', text }]), 'bookworm')).toEqual({
      uri: 'http://mirror.example/debian/',
      suites: ['bookworm'],
      signedBy: '/k.gpg',
    });
  });

  test('disabled, source-only and foreign ones do not count', () => {
    const disabled = `${archive}\nEnabled: no`;
    const source = archive.replace('Types: deb', 'Types: deb-src');
    const sources = parseSources([{ name: 'debian.sources', text: [disabled, source, security, other].join('\n\n') }]);
    expect(debianMirror(sources, 'bookworm')).toBeUndefined();
  });
});

describe('nats-server', () => {
  test.each([
    ['nats-server: v2.15.1', [2, 15, 1], true],
    ['nats-server: v2.14.0', [2, 14, 0], true],
    ['nats-server: v3.0.0', [3, 0, 0], true],
    ['nats-server: v2.9.10', [2, 9, 10], false],
    ['no version', undefined, false],
  ])('%s', (text, version, isNewEnough) => {
    expect(parseNatsVersion(text)).toEqual(version);
    expect(isAtLeast(version, NATS_WANTED)).toBe(isNewEnough);
  });

  test('an older one is taken with its gaps named', () => {
    expect(missingFeatures([2, 10, 27])).toEqual(['message TTLs', 'atomic batches', 'fixes the federation was tested with']);
    expect(missingFeatures([2, 15, 1])).toEqual([]);
  });
});

describe('npm packages', () => {
  const lock = {
    packages: {
      '': { version: '0.1.0' },
      'libs/a': { version: '0.1.0' },
      'node_modules/@carnet/a': { link: true },
      'node_modules/x': { version: '1.0.0', integrity: 'sha512-x' },
      'node_modules/only-on-arm': { version: '1.0.0', optional: true },
    },
  };
  const { '': _root, 'node_modules/only-on-arm': _arm, ...present } = lock.packages;

  test('are installed when npm’s own record agrees', () => {
    expect(isInstalled(lock, { packages: present })).toBe(true);
  });

  test.each([
    ['no record: never installed, or npm was interrupted', undefined],
    ['one is missing', { packages: { ...present, 'node_modules/x': undefined } }],
    ['another version', { packages: { ...present, 'node_modules/x': { version: '1.0.1', integrity: 'sha512-x' } } }],
    ['another content', { packages: { ...present, 'node_modules/x': { version: '1.0.0', integrity: 'sha512-y' } } }],
    ['one too many', { packages: { ...present, 'node_modules/gone': { version: '1.0.0' } } }],
  ])('are to be installed: %s', (_, installed) => {
    expect(isInstalled(lock, installed)).toBe(false);
  });
});

describe('the whole', () => {
  const ready = { problems: [], isRoot: false, packages: [], users: [], npm: true, programs: true, nats: {}, guest: {} };

  test('nothing to do', () => {
    expect(isComplete(ready)).toBe(true);
    expect(obstacles(ready)).toEqual([]);
  });

  test.each([
    { npm: false },
    { programs: false },
    { packages: ['swtpm'] },
    { users: ['carnet-a'] },
    { nats: undefined },
    { guest: undefined },
  ])('%j is to be done', (change) => {
    expect(isComplete({ ...ready, ...change })).toBe(false);
  });

  test('missing packages stop an ordinary user, with the command, and not root', () => {
    const lacking = { ...ready, packages: ['swtpm'] };
    expect(obstacles(lacking).join('\n')).toContain('sudo apt-get install -y --no-install-recommends swtpm');
    expect(obstacles({ ...lacking, isRoot: true })).toEqual([]);
  });

  test('the platform’s problems come before anything else', () => {
    expect(obstacles({ ...ready, problems: ['no Linux'], packages: ['swtpm'] })).toEqual(['no Linux']);
  });

  test('users and the kernel package', () => {
    expect(missingUsers('root:x:0:0::/root:/bin/sh\ncarnet-a:x:999:995::/:/bin/false\n')).toEqual(['carnet-b']);
    expect(kernelPackage('linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n')).toBe(
      'linux-image-6.1.0-56-cloud-amd64',
    );
    expect(() => kernelPackage('')).toThrow('names no kernel package');
  });
});
