import { ledgerStream, type TrustDomain } from '@carnet/events';
import { headOfKept } from '../../../libs/journal/src/head-file.ts';
import { positionOf } from '../../../libs/trust/src/index.ts';
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
  csp.isUnspared &&= !options.federation.custody.isSpared(csp.database, csp.spares);
  return !csp.isUnkept && !csp.isUnspared;
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

export type WithBus = Restoring & { readonly bus: SimBus };

/** `publisher`: what it said. `audience`: what it was told. */
const eventsOf = ({ database, domain }: Csp, as: 'publisher' | 'audience') =>
  database.rows(`select audience, seq, digest from events where ${as} = ?`, domain);

/** All that was told or relied on since is on the bus as well: what is nowhere else is lost with a machine. */
function isTold({ bus }: WithBus, csp: Csp, before: ReadonlySet<unknown>): boolean {
  const { domain, heads } = csp;
  return eventsOf(csp, 'publisher').every((row) => {
    const audience = row['audience'] as TrustDomain;
    const kept = heads.get(audience);
    const isKept = kept !== undefined && Number(row['seq']) <= positionOf(headOfKept(kept)?.seq);
    return !isKept || before.has(row['digest']) || bus.holds(ledgerStream(domain, audience), String(row['digest']));
  });
}

/** A snapshot sets the machine back, with database and head files of one moment, and without the spares of keys. */
export function settingBack(of: WithBus, csp: Csp): () => void {
  const { scheduler, faults } = of;
  const database = csp.database.snapshot();
  const before = new Set<unknown>(eventsOf(csp, 'publisher').map(({ digest }) => digest));
  const folder = folderOf(csp);
  const { restores } = csp;
  const sinceMs = scheduler.elapsedMs();
  return () => {
    if (!mayRestore(of, csp, restores) || !isTold(of, csp, before)) return;
    if (!faults.due(`the machine of ${csp.domain} is set back by ${scheduler.elapsedMs() - sinceMs} ms`)) return;
    restart(of, csp, () => {
      forgetRelied(csp);
      csp.restores += 1;
      csp.boot += 1;
      csp.database.restore(database);
      placeFolder(csp, folder);
    });
  };
}

/** The folder beside the database is lost, or comes back as it was when this was called; with it, where they can be made anew, the spares of keys. */
export function losingFolder(of: Restoring, csp: Csp, how: 'empty' | 'older'): () => void {
  const folder: Folder = how === 'empty' ? { heads: new Map(), relied: new Map() } : folderOf(csp);
  const spares = how === 'empty' ? new Map() : new Map(csp.spares);
  return () => {
    if (isBehind(csp) || !of.faults.due(`the folder of ${csp.domain} is ${how}`)) return;
    restart(of, csp, () => {
      forgetRelied(csp);
      csp.isUnkept = true;
      placeFolder(csp, folder);
      csp.boots.clear();
      if (of.options.federation.custody.kind !== 'real') return;
      csp.isUnspared = true;
      replaceAll(csp.spares, spares);
    });
  };
}

/** Its database was restored, and has not everything again: of that its folder may be all that is left. */
const isBehind = ({ database, domain, heads, relied }: Csp): boolean =>
  database.rows('select publisher, audience, head_seq from ledgers').some(({ publisher, audience, head_seq: head }) => {
    const kept = publisher === domain ? heads.get(audience as TrustDomain) : relied.get(publisher as TrustDomain);
    return kept !== undefined && positionOf(headOfKept(kept)?.seq) > Number(head);
  });

type Folder = { readonly heads: Heads; readonly relied: Heads };
const folderOf = ({ heads, relied }: Csp): Folder => ({ heads: new Map(heads), relied: new Map(relied) });

function placeFolder(csp: Csp, { heads, relied }: Folder): void {
  replaceAll(csp.heads, heads);
  replaceAll(csp.relied, relied);
}

function replaceAll<K, V>(files: Map<K, V>, by: ReadonlyMap<K, V>): void {
  files.clear();
  for (const [name, file] of by) files.set(name, file);
}

/** That its host relied on words of peers, which file says so any more? */
function forgetRelied(csp: Csp): void {
  for (const { digest } of eventsOf(csp, 'audience')) csp.reliedUnkept.add(String(digest));
}

/** A machine that was set back has not asked the bus yet what it holds of this stream. */
export const isComparing = (csps: readonly Csp[], stream: string): boolean =>
  csps.some(
    ({ domain, boot, boots }) =>
      boot > 1 && csps.some((peer) => stream === ledgerStream(domain, peer.domain) && boots.get(peer.domain) !== boot),
  );
