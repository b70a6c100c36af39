// Runs the tools that set-up needs, and makes Ctrl-C end them and clean up before set-up itself ends.
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { SetupStopped, say } from './say.mjs';

const OUTPUT_TAIL_LINES = 25;
const BRIEF_WORDS_MAX = 6;
const cleanups = new Set();
let current;
let interruptedBy;

/**
 * Keeps `undo` for the case that set-up is interrupted or fails; the returned function does it now.
 * @param {() => void} undo
 */
export function whateverHappens(undo) {
  cleanups.add(undo);
  return () => {
    if (cleanups.delete(undo)) undo();
  };
}

export function cleanUp() {
  for (const undo of [...cleanups].reverse()) undo();
  cleanups.clear();
}

/** From here until `releaseSignals` a signal ends the running tool, and then set-up. */
export function holdSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, interrupt);
}

export function releaseSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, interrupt);
}

/** Stops between two steps when a signal came meanwhile. */
export function stopIfInterrupted() {
  if (interruptedBy !== undefined)
    throw new SetupStopped('setup: interrupted; run it again to go on', 128 + constants.signals[interruptedBy]);
}

function interrupt(signal) {
  interruptedBy = signal;
  current?.kill(signal);
}

/**
 * Runs a tool and returns its stdout. Its whole output is shown only when it fails.
 * @param {readonly string[]} command
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} options
 */
export async function run([file, ...args], { cwd, env } = {}) {
  stopIfInterrupted();
  const child = spawn(file, args, { cwd, env: env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
  current = child;
  const out = [];
  const both = [];
  child.stdout.on('data', (chunk) => {
    out.push(chunk);
    both.push(chunk);
  });
  child.stderr.on('data', (chunk) => both.push(chunk));
  const ended = await new Promise((resolve) => {
    child.once('error', (cause) => resolve(cause.message));
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `ended with ${code ?? signal}`));
  });
  current = undefined;
  stopIfInterrupted();
  if (ended !== undefined) {
    const said = Buffer.concat(both).toString('utf8');
    throw new ToolFailed(`${brief([file, ...args])} ${ended}`, said);
  }
  return Buffer.concat(out).toString('utf8');
}

/** The private apt state alone is ten options: the reader needs the tool and what it was to do. */
function brief(command) {
  return command.length <= BRIEF_WORDS_MAX ? command.join(' ') : `${command[0]} … ${command.slice(-2).join(' ')}`;
}

/** A look at something, in milliseconds; undefined when the tool is missing or fails. */
export function ask([file, ...args]) {
  const done = spawnSync(file, args, { encoding: 'utf8', timeout: 10_000 });
  return done.error === undefined ? { ok: done.status === 0, out: done.stdout } : undefined;
}

export class ToolFailed extends Error {
  /** @param {string} message @param {string} output */
  constructor(message, output) {
    super(message);
    this.name = 'ToolFailed';
    this.output = output;
  }

  /** Its own last words, which explain more than ours could. */
  show() {
    say(`setup: ${this.message}`);
    for (const line of this.output.trimEnd().split('\n').slice(-OUTPUT_TAIL_LINES)) say(`  ${line}`);
  }
}
