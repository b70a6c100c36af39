// Runs the program that set-up was for, under Node 24, as if it had been started directly.
import { spawn } from 'node:child_process';
import { constants, userInfo } from 'node:os';
import { delimiter, dirname } from 'node:path';
import { nodeBinary } from './npm.mjs';
import { compiledFolder } from './programs.mjs';

/**
 * stdio is shared, signals are passed on (a terminal's Ctrl-C may so arrive twice: programs here count the first).
 * @param {string} root
 * @param {readonly string[]} args script and its arguments
 * @returns {Promise<number>} the program's exit code, 128 + signal number when a signal ended it
 */
export function launch(root, args) {
  const node = nodeBinary(root);
  // Programs that are started again and again are not compiled each time; nodeEnv of infra/dev keeps those of daemons.
  const NODE_COMPILE_CACHE = compiledFolder(root, userInfo().username);
  const env = { NODE_COMPILE_CACHE, ...process.env, PATH: [dirname(node), process.env['PATH'] ?? ''].join(delimiter) };
  const child = spawn(node, args, { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
  });
}
