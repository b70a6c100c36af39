// The npm packages, Node 24 among them, exactly as package-lock.json has them.
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run, ToolFailed } from './children.mjs';
import { isInstalled } from './lockfile.mjs';
import { SetupStopped } from './say.mjs';

/** @param {string} root */
export function nodeBinary(root) {
  return join(root, 'node_modules', '.bin', 'node');
}

/** @param {string} root */
export function npmPackagesInstalled(root) {
  const read = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined);
  const wanted = read(join(root, 'package-lock.json'));
  return existsSync(nodeBinary(root)) && isInstalled(wanted, read(join(root, 'node_modules', '.package-lock.json')));
}

/** `pkcs11js` is optional: where no compiler was, npm left it out, or left it without its native part. @param {string} root */
export function isTokenPackageBuilt(root) {
  return existsSync(join(root, 'node_modules', 'pkcs11js', 'build', 'Release', 'pkcs11.node'));
}

/** @param {string} root */
export async function installNpmPackages(root) {
  try {
    await run(['npm', 'ci', '--include=dev', '--include=optional', '--loglevel=error'], { cwd: root, env: environment(root) });
  } catch (cause) {
    if (!(cause instanceof ToolFailed)) throw cause;
    cause.show();
    throw new SetupStopped(`setup: npm ci failed${npmHint(cause.output)}`);
  }
  if (!existsSync(nodeBinary(root)))
    throw new SetupStopped('setup: npm ci brought no Node 24 for this processor (optional package node-linux-…)');
}

/** Node 24 and the bundler are among the packages. @param {string} root */
export async function buildPrograms(root) {
  await run([nodeBinary(root), join(root, 'infra', 'dev', 'setup', 'build-programs.mjs')], { cwd: root });
}

/** @param {string} output */
export function npmHint(output) {
  if (/ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH/.test(output))
    return ': the npm registry cannot be reached; check the network (or npm config get registry) and run again';
  if (/SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY)|CERT_/.test(output))
    return ': the certificate of the npm registry is not trusted here; behind a proxy of your own, set NODE_EXTRA_CA_CERTS';
  if (/ENOSPC/.test(output)) return ': the disk is full';
  if (/EACCES|EPERM/.test(output)) return ': no right to write there; was this clone set up by another user?';
  return '';
}

/** Without our own node_modules/.bin: `npm ci` deletes the very node there while it would still need it. */
function environment(root) {
  const own = join(root, 'node_modules', '.bin');
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((dir) => dir !== own);
  const kept = Object.entries(process.env).filter(
    ([name]) => name !== 'NODE' && name !== 'NODE_ENV' && name !== 'npm_node_execpath',
  );
  // Native parts are built against the headers of our own Node, which are on this disk, not against a download.
  const headers = join(root, 'node_modules', `node-linux-${process.arch}`);
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter), npm_config_nodedir: headers };
}
