// Set-up speaks on stderr: stdout belongs to the program that runs afterwards (it may be JSON).

/** A set-up that cannot go on, with words for a person and no stack. */
export class SetupStopped extends Error {
  /** @param {string} message @param {number} exitCode */
  constructor(message, exitCode = 1) {
    super(message);
    this.name = 'SetupStopped';
    this.exitCode = exitCode;
  }
}

/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Announces a step with the time to expect, runs it, and tells how long it took.
 * @template T
 * @param {string} what
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(what, work) {
  say(`setup: ${what} …`);
  const startedMs = performance.now();
  const result = await work();
  say(`setup: … done in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  return result;
}
