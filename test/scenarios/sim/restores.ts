import { ledgerStream, type TrustDomain } from '@carnet/events';
import type { SimBus } from './bus.ts';
import { type Csp, RESTART_MS } from './csp.ts';
import type { Faults } from './faults.ts';
import { coveredKeptOf, type Heads } from './heads.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimOptions } from './world.ts';

/** How what a CSP keeps goes back to what it was: its database, the folder beside it, or the machine with both. */
export type Restoring = {
  readonly scheduler: Scheduler;
  readonly csps: readonly Csp[];
  readonly faults: Faults;
  readonly options: Pick<SimOptions, 'seed' | 'federation'>;
  readonly start: (csp: Csp, n: number) => Promise<void>;
};

function restart({ scheduler, start }: Restoring, csp: Csp, change: () => void): void {
  for (const life of csp.lives) scheduler.kill(life);
  change();
  for (let n = 0; n < csp.lives.length; n += 1) scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => void start(csp, n));
}

/** What a database was before its last restore lies on a line of time that was left (PostgreSQL: a recovery follows the latest). */
function mayRestore({ csps, options }: Restoring, csp: Csp, restores: number): boolean {
  const isAnother = csps.some((other) => other !== csp && other.restores > 0);
  if (csp.restores !== restores || (isAnother && coveredKeptOf(options.seed) === 'none')) return false;
  // Where its folder has gone a moment ago, what is nowhere else would be gone for good.
  return !csp.isUnkept && options.federation.custody.isSpared(csp.database, csp.spares);
}

/** The database comes back as it was when this was called. */
export function restoringDatabase(of: Restoring, csp: Csp): (what: string) => void {
  const snapshot = csp.database.snapshot();
  const { restores } = csp;
  return (what) => {
    if (!mayRestore(of, csp, restores) || !of.faults.due(`${csp.domain} restores its database of ${what}`)) return;
    restart(of, csp, () => {
      csp.restores += 1;
      csp.database.restore(snapshot);
    });
  };
}

type WithBus = Restoring & { readonly bus: SimBus };

const ownEvents = ({ database, domain }: Csp) =>
  database.rows('select audience, seq, digest from events where publisher = ?', domain);

/** All that was decided or kept since there is on the bus as well: what is nowhere else is lost with a machine. */
function isTold({ bus }: WithBus, csp: Csp, before: ReadonlySet<unknown>): boolean {
  const { domain } = csp;
  return ownEvents(csp).every(
    ({ audience, digest }) => before.has(digest) || bus.holds(ledgerStream(domain, audience as TrustDomain), String(digest)),
  );
}

/** A snapshot sets the machine back, with database and head files of one moment; keys' spares are on another disk. */
export function settingBack(of: WithBus, csp: Csp): () => void {
  const { scheduler, faults } = of;
  const database = csp.database.snapshot();
  const before = new Set<unknown>(ownEvents(csp).map(({ digest }) => digest));
  const folder = { heads: new Map(csp.heads), relied: new Map(csp.relied), boots: new Map(csp.boots) };
  const { restores } = csp;
  const sinceMs = scheduler.elapsedMs();
  return () => {
    if (!mayRestore(of, csp, restores) || !isTold(of, csp, before)) return;
    if (!faults.due(`the machine of ${csp.domain} is set back by ${scheduler.elapsedMs() - sinceMs} ms`)) return;
    restart(of, csp, () => {
      csp.restores += 1;
      csp.boot += 1;
      csp.database.restore(database);
      placeFolder(csp, folder);
    });
  };
}

/** The folder beside the database is lost, or comes back as it was when this was called. */
export function losingFolder(of: WithBus, csp: Csp, how: 'empty' | 'older'): () => void {
  const folder: Folder =
    how === 'empty'
      ? { heads: new Map(), relied: new Map(), boots: new Map() }
      : { heads: new Map(csp.heads), relied: new Map(csp.relied), boots: new Map() };
  const spares = how === 'empty' ? new Map() : new Map(csp.spares);
  return () => {
    if (!of.faults.due(`the folder of ${csp.domain} is ${how}`)) return;
    restart(of, csp, () => {
      csp.isUnkept = true;
      placeFolder(csp, folder);
      if (of.options.federation.custody.kind === 'real') replaceAll(csp.spares, spares);
    });
  };
}

type Folder = { readonly heads: Heads; readonly relied: Heads; readonly boots: ReadonlyMap<TrustDomain, number> };

function placeFolder(csp: Csp, { heads, relied, boots }: Folder): void {
  replaceAll(csp.heads, heads);
  replaceAll(csp.relied, relied);
  replaceAll(csp.boots, boots);
}

function replaceAll<K, V>(files: Map<K, V>, by: ReadonlyMap<K, V>): void {
  files.clear();
  for (const [name, file] of by) files.set(name, file);
}

/** Its machine has not asked the bus yet what it holds of this stream. */
export const isComparing = (csps: readonly Csp[], stream: string): boolean =>
  csps.some((csp) =>
    csps.some((peer) => stream === ledgerStream(csp.domain, peer.domain) && csp.boots.get(peer.domain) !== csp.boot),
  );
