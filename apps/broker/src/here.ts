import { replacedVolumes, type TrustDomain, type VmId, type VmSpec } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import type { Log } from '@carnet/runtime';
import { hasFacts, type Journey, type MigrationState, summarize } from '@carnet/saga';
import type { Store } from '@carnet/store';
import type { Inventory } from './inventory.ts';
import type { HandoverKeys } from './keys/handover-keys.ts';
import { inTransaction } from './keys/new-dek.ts';
import { granted, KeyRefused } from './keys/refused.ts';
import { isBehind, type Ledgers } from './ledgers.ts';
import { hasSpoken } from './moving.ts';
import { specWith } from './perform/rekey.ts';

export interface HerePorts {
  readonly self: TrustDomain;
  readonly store: Store;
  readonly ledgers: Pick<Ledgers, 'journeys'>;
  readonly journal: Pick<Journal, 'heads' | 'peers'>;
  readonly inventory: Pick<Inventory, 'vm' | 'add' | 'respec'>;
  readonly keys: Pick<HandoverKeys, 'missing' | 'bringBack'>;
  readonly log: Pick<Log, 'warn'>;
}

/** `later`: not all of our own ledgers are back, or what must go before the VM has not gone yet. */
export type Here =
  | { readonly kind: 'whole' }
  | { readonly kind: 'later' }
  | { readonly kind: 'lost'; readonly of: MigrationState; readonly code: string; readonly text: string };

const WHOLE: Here = { kind: 'whole' };

/**
 * The twin of `destroyWhatIsGone`: a database that came back from a backup gets its events back from the peers, but not the rows that were
 * committed with them. A VM that came here, by our own signed word, and did not leave since, is listed here again, and its keys are brought back
 * from their spares. Idempotent; without a restore it is two queries.
 */
export async function bringBackWhatIsHere(ports: HerePorts, vm: VmId, known: Journey): Promise<Here> {
  const arrived = known.migrations.findLast((m) => isArrival(m, ports.self));
  if (arrived === undefined || known.migrations.some((m) => m.epoch > arrived.epoch && m.sourcePhase === 'retired')) return WHOLE;
  if (await isWhole(ports, arrived)) return WHOLE;
  // What other peers know of us counts as well: the VM may have left to one of them.
  if (await isBehind(ports.journal)) return { kind: 'later' };
  const here = hereBy(await ports.ledgers.journeys(vm), ports.self);
  return here?.id === arrived.id ? await bringBack(ports, arrived) : WHOLE;
}

const isArrival = (m: MigrationState, self: TrustDomain): boolean =>
  m.target === self && m.facts.KeyImported !== undefined && m.targetPhase !== 'relinquished';

/**
 * The migration that brought the VM, if this CSP has it by the ledgers alone: the last move in which it spoke left the key here. As well where it
 * was released: until the retirement the VM may be given back, and what is to be destroyed must be known.
 */
function hereBy(journeys: readonly Journey[], self: TrustDomain): MigrationState | undefined {
  const spoken = journeys
    .flatMap(({ migrations }) => migrations)
    .filter((m) => hasSpoken(m, self))
    .toSorted((a, b) => a.epoch - b.epoch);
  const last = spoken.at(-1);
  if (last === undefined || !keepsKey(last, self)) return undefined;
  return spoken.findLast((m) => isArrival(m, self));
}

function keepsKey(m: MigrationState, self: TrustDomain): boolean {
  const now = summarize(m).custody.at(-1);
  return now !== undefined && (now.canOpen.includes(self) || now.suspended.includes(self));
}

/** The VM by the ledger: its disks, as they were re-keyed, and where it was to be started. */
function expectedOf({ facts }: MigrationState) {
  if (!hasFacts(facts, ['MigrationIntended', 'MigrationOffered'])) return undefined;
  const { MigrationIntended: intent, MigrationOffered: offer, VolumeRekeyed: rekeyed, StartAuthorized: authorized } = facts;
  const spec = specWith(intent.data.spec, replacedVolumes(rekeyed?.data));
  return { spec, host: authorized?.data.host ?? offer.data.agent.host };
}

const keysText = ({ disks }: VmSpec): string => disks.map(({ artifact, key }) => `${artifact} ${key}`).join();

async function isWhole({ inventory, keys }: HerePorts, m: MigrationState): Promise<boolean> {
  const held = await inventory.vm(m.vm);
  // Of a later epoch: it has come back since, by another journey.
  if (held !== undefined && held.epoch > m.epoch) return true;
  if ((await keys.missing(m)).length > 0) return false;
  // Both came in one transaction: a VM of which only the keys' records are there was deleted here.
  const expected = expectedOf(m);
  return held?.epoch !== m.epoch || expected === undefined || keysText(held.spec) === keysText(expected.spec);
}

async function bringBack(ports: HerePorts, m: MigrationState): Promise<Here> {
  const { inventory, keys, store, log } = ports;
  const [held, expected] = [await inventory.vm(m.vm), expectedOf(m)];
  // Of before it left: that is destroyed first.
  if (expected === undefined || (held !== undefined && held.epoch !== m.epoch)) return { kind: 'later' };
  try {
    const prepared = granted(await keys.bringBack(m));
    await inTransaction(store, async (tx) => {
      granted(await prepared.record(tx));
      if (held === undefined) await inventory.add(tx, { vm: m.vm, epoch: m.epoch, ...expected });
      else await inventory.respec(tx, m.vm, { ...held.spec, disks: expected.spec.disks });
    });
  } catch (cause) {
    if (!(cause instanceof KeyRefused)) throw cause;
    log.warn(
      { vm: m.vm, migration: m.id, code: cause.code },
      'this database has lost a VM that is here, and it cannot be brought back',
    );
    return { kind: 'lost', of: m, code: cause.code, text: cause.message };
  }
  log.warn(
    { vm: m.vm, migration: m.id },
    'this database had lost a VM that is here: its keys are brought back from their spares',
  );
  return WHOLE;
}
