// Two Unix users, one per cloud: the kernel keeps each from the other's disks, secrets and vTPM state.
import { run } from './children.mjs';

export const USERS = ['carnet-a', 'carnet-b'];

/** @param {string} passwd text of passwd(5) */
export function missingUsers(passwd) {
  const present = new Set(passwd.split('\n').map((line) => line.split(':')[0]));
  return USERS.filter((name) => !present.has(name));
}

/** System users: no login, no home, own group. @param {readonly string[]} names */
export async function createUsers(names) {
  for (const name of names) {
    await run([
      'useradd',
      '--system',
      '--user-group',
      '--no-create-home',
      '--home-dir',
      '/nonexistent',
      '--shell',
      '/usr/sbin/nologin',
      name,
    ]);
  }
}
