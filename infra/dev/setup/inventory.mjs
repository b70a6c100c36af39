// What `npm run setup` prints at its end: the parts by name and version.
import { readdirSync } from 'node:fs';
import { ask } from './children.mjs';
import { isTokenPackageBuilt, nodeBinary } from './npm.mjs';
import { USERS } from './users.mjs';

/** @param {ReturnType<typeof import('./plan.mjs').survey>} found */
export function inventory({ root, isRoot, nats, guest }) {
  const postgres = `/usr/lib/postgresql/${newest('/usr/lib/postgresql')}/bin/postgres`;
  const parts = [
    ['Node', versionLine([nodeBinary(root), '--version'])],
    ['libvirt', versionLine(['/usr/sbin/libvirtd', '--version'])],
    ['QEMU', versionLine(['qemu-system-x86_64', '--version'])],
    ['swtpm', versionLine(['swtpm', '--version'])],
    ['PostgreSQL', versionLine([postgres, '--version'])],
    ['SoftHSM', versionLine(['softhsm2-util', '--version'])],
    ['Barbican', packageVersion('barbican-api')],
    ['Keystone', packageVersion('keystone')],
    ['pkcs11js', isTokenPackageBuilt(root) ? 'built' : 'missing'],
    ['nats-server', nats === undefined ? 'missing' : nats.version.join('.')],
    ['guest', guest === undefined ? 'missing' : `${guest.kernel}, ${guest.busybox}`],
    ['Unix users', isRoot ? USERS.join(', ') : 'your own for both clouds (root would use two)'],
  ];
  const width = Math.max(...parts.map(([name]) => name.length));
  return ['All there:', ...parts.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)];
}

function versionLine(command) {
  return ask(command)?.out.split('\n')[0] ?? 'missing';
}

/** For parts that have no program that says it. */
function packageVersion(name) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is dpkg-query's.
  return versionLine(['dpkg-query', '--show', '--showformat=${Version}', name]);
}

function newest(dir) {
  return readdirSync(dir)
    .map(Number)
    .filter(Number.isInteger)
    .sort((a, b) => b - a)[0];
}
