// `node infra/dev/with-setup.mjs [script args…]`: makes this machine ready, then runs the script under Node 24.
// Plain JavaScript without dependencies: it is what a fresh clone starts with, on whatever Node there is.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { install } from './setup/apt.mjs';
import { cleanUp, holdSignals, releaseSignals, stopIfInterrupted, ToolFailed } from './setup/children.mjs';
import { fetchGuestParts } from './setup/guest-parts.mjs';
import { inventory } from './setup/inventory.mjs';
import { launch } from './setup/launch.mjs';
import { fetchNatsServer } from './setup/nats-server.mjs';
import { buildPrograms, installNpmPackages } from './setup/npm.mjs';
import { isComplete, obstacles, survey } from './setup/plan.mjs';
import { SetupStopped, say, step } from './setup/say.mjs';
import { takeTurn } from './setup/turn.mjs';
import { createUsers } from './setup/users.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Exit code for a machine or an account that will not do, so that scripts can tell it from a failure. */
const EXIT_UNSUITABLE = 2;

async function setUp(script) {
  let found = survey({ root, script });
  const blocking = obstacles(found);
  if (blocking.length > 0)
    throw new SetupStopped(['Carnet cannot be set up here:', ...blocking.map((line) => `  ${line}`)].join('\n'), EXIT_UNSUITABLE);
  if (isComplete(found)) return;
  const endTurn = await takeTurn(join(found.toolsDir, 'setup.lock'));
  // Another set-up may have done it all while we waited.
  found = survey({ root, script });
  await installMissing(found);
  endTurn();
}

async function installMissing({ packages, users, npm, programs, nats, guest, toolsDir, codename }) {
  if (packages.length > 0) {
    await step(`Debian packages (1 to 3 minutes; no service is started): ${packages.join(' ')}`, () => install(packages));
  }
  if (users.length > 0) await step(`Unix users without login, one per cloud: ${users.join(' ')}`, () => createUsers(users));
  if (!npm) await step('npm packages with Node 24, into node_modules (about 1 minute)', () => installNpmPackages(root));
  if (!programs) await step('programs that start often, each into one file of dist (about 5 s)', () => buildPrograms(root));
  if (nats === undefined) {
    await step('nats-server from Debian testing, into .tools (about 15 s; the system stays as it is)', () =>
      fetchNatsServer({ toolsDir, codename }),
    );
  }
  if (guest === undefined) {
    await step('kernel and busybox of the test guest, into .tools (about 15 s)', () => fetchGuestParts({ toolsDir, codename }));
  }
  stopIfInterrupted();
}

async function main([script, ...args]) {
  holdSignals();
  try {
    await setUp(script);
  } catch (cause) {
    if (cause instanceof ToolFailed) cause.show();
    else say(cause instanceof SetupStopped ? cause.message : `setup: ${cause instanceof Error ? cause.stack : cause}`);
    return cause instanceof SetupStopped ? cause.exitCode : 1;
  } finally {
    cleanUp();
    releaseSignals();
  }
  if (script !== undefined) return launch(root, [script, ...args]);
  for (const line of inventory(survey({ root, script }))) say(line);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
