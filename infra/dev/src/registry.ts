/** Something that outlives this process unless it is stopped: a daemon, a directory. */
export type Held = {
  readonly name: string;
  readonly stop: () => Promise<void>;
  /** The same, blocking: all that is left to do inside an `exit` handler. */
  readonly stopBlocking: () => void;
};

const held = new Set<Held>();
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const satisfies readonly NodeJS.Signals[];
let watching = false;
let ending = false;

/** Keeps `resource` until the returned function lets it go, or until this process ends by whatever way. */
export function hold(resource: Held): () => void {
  watchProcessEnd();
  held.add(resource);
  return () => held.delete(resource);
}

/** Stops everything still held, the youngest first; goes on after a failure and throws them all at the end. */
export async function stopEverything(): Promise<void> {
  const failures: unknown[] = [];
  for (const resource of [...held].reverse()) {
    try {
      await resource.stop();
    } catch (cause) {
      failures.push(new Error(`${resource.name} did not stop`, { cause }));
    }
    held.delete(resource);
  }
  if (failures.length > 0) throw new AggregateError(failures, 'not everything stopped');
}

function watchProcessEnd(): void {
  if (watching) return;
  watching = true;
  // `exit` follows normal ends, process.exit, and uncaught errors and rejections.
  process.on('exit', stopBlocking);
  for (const signal of ENDING_SIGNALS) process.on(signal, endBySignal);
}

/**
 * A terminal's Ctrl-C reaches us twice, directly and forwarded by our parent: only the first counts.
 * Stopping is bounded by each resource's own limits, so nobody needs a second Ctrl-C to insist.
 */
function endBySignal(signal: NodeJS.Signals): void {
  if (ending) return;
  ending = true;
  stopEverything()
    .catch((cause: unknown) => process.stderr.write(`${String(cause)}\n`))
    .finally(() => {
      for (const each of ENDING_SIGNALS) process.off(each, endBySignal);
      stopBlocking();
      // Dying of the signal itself tells the parent the truth (128 + number in a shell).
      process.kill(process.pid, signal);
    });
}

function stopBlocking(): void {
  for (const resource of [...held].reverse()) {
    try {
      resource.stopBlocking();
    } catch (cause) {
      process.stderr.write(`${resource.name} did not stop: ${String(cause)}\n`);
    }
    held.delete(resource);
  }
}
