// One set-up at a time per clone: `npm test` and `npm run demo` may be started together on a fresh machine.
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopIfInterrupted, whateverHappens } from './children.mjs';
import { say } from './say.mjs';

const POLL_MS = 500;

/** Waits for another set-up to end and returns the function that ends ours. @param {string} file */
export async function takeTurn(file) {
  mkdirSync(dirname(file), { recursive: true });
  for (let told = false; !take(file); told = true) {
    const holder = holderOf(file);
    if (holder === undefined || !isAlive(holder)) {
      rmSync(file, { force: true });
      continue;
    }
    if (!told) say(`setup: waiting for another set-up of this clone (pid ${holder})`);
    await sleep(POLL_MS);
    stopIfInterrupted();
  }
  return whateverHappens(() => rmSync(file, { force: true }));
}

/** link(2) makes the file appear with its content: nobody can read it half written and think it stale. */
function take(file) {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  try {
    linkSync(mine, file);
    return true;
  } catch (cause) {
    if (cause.code === 'EEXIST') return false;
    throw cause;
  } finally {
    rmSync(mine, { force: true });
  }
}

function holderOf(file) {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return cause.code === 'EPERM';
  }
}
