import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DevError } from '../error.ts';
import { asSelf, type RunAs, runOnce } from '../identity.ts';
import { privateDir, privateFile } from '../scratch.ts';
import { daemonEnv, systemTool } from '../tools.ts';

export type SoftHsmOptions = {
  readonly dir: string;
  /** The token's label. */
  readonly label: string;
  /** Who will open it. Default: this process's own account, since it is a library and not a daemon. */
  readonly as?: RunAs;
};

/** A token that a PKCS#11 library serves: SoftHSM, which behaves as hardware would and keeps its objects in files. */
export type SoftHsmToken = {
  readonly module: string;
  readonly label: string;
  readonly pinFile: string;
  /** What the library reads from its environment. */
  readonly environment: Readonly<Record<string, string>>;
};

const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/pkcs11/libsofthsm2.so'];

/** Makes a fresh token with random PINs. */
export function softhsmToken({ dir, label, as = asSelf() }: SoftHsmOptions): SoftHsmToken {
  const module = MODULES.find((file) => existsSync(file));
  if (module === undefined)
    throw new DevError('TOOL_MISSING', "SoftHSM's libsofthsm2.so is not installed; install it with: npm run setup");
  for (const sub of ['', 'tokens']) privateDir(join(dir, sub), as);
  const configFile = join(dir, 'softhsm2.conf');
  privateFile(configFile, `directories.tokendir = ${join(dir, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`, as);
  const environment = { SOFTHSM2_CONF: configFile };
  const pin = randomBytes(16).toString('hex');
  const pinFile = join(dir, 'pin');
  privateFile(pinFile, pin, as);
  // Its tool takes PINs from a terminal or from arguments only: fit for a token of a test, which lives for minutes.
  const pins = ['--pin', pin, '--so-pin', randomBytes(16).toString('hex')];
  const init = [systemTool('softhsm2-util'), '--init-token', '--free', '--label', label, ...pins];
  runOnce(as, init, { ...daemonEnv, ...environment }, dir);
  return { module, label, pinFile, environment };
}
