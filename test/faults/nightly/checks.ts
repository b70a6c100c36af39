import { spawnSync } from 'node:child_process';
import { closeSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, lastTick, type Tick, ticksFoundOnDisk, vtpmResets } from '@carnet/dev';
import { ledgersAgree } from '../harness/checks.ts';
import { rowsOf } from '../harness/ledger-db.ts';
import { must } from '../harness/moves.ts';
import { consoleOf, domainsOf, leftAt, type RealSide, runningAt, strayAt, tickAfter } from '../harness/real-side.ts';
import type { World } from './world.ts';

/** What the guest said of itself: its last tick, and how often its TPM was reset, which no boot can undo. */
export type Life = { readonly tick: Tick; readonly resets: number };
/** What each boot found on the disk. */
type Found = readonly (Tick | undefined)[];

const AUDIT_MS_MAX = 60_000;
const SOON_MS = 30_000;

/** A file that can be read to the end when it has been removed: the source's console goes with the VM. */
export function keptOpen(file: string): { readonly path: string; readonly close: () => void } {
  const descriptor = openSync(file, 'r');
  return { path: `/proc/self/fd/${descriptor}`, close: () => closeSync(descriptor) };
}

/** A console that began with a memory that travelled has no boot on it: then the one before has, or the resets are as they were known. */
export async function lifeAt(side: RealSide, uuid: string, known: number, left?: string): Promise<Life> {
  const file = consoleOf(side, uuid);
  const tick = await tickAfter(side, uuid, lastTick(file));
  const before = left === undefined ? [] : vtpmResets(left);
  return { tick, resets: vtpmResets(file).at(-1) ?? before.at(-1) ?? known };
}

/**
 * The disk's counter goes on from where the guest was; a boot that no console saw shows in the TPM's own count, and one whose TPM died on a console.
 *
 * @param found by the consoles
 */
export function wentBack(before: Life, after: Life, found: Found): string | undefined {
  if (after.tick.boot === before.tick.boot) {
    if (after.tick.n <= before.tick.n) return `the counter went from ${before.tick.n} to ${after.tick.n}`;
    return after.resets < before.resets ? `the TPM's resets went from ${before.resets} to ${after.resets}` : undefined;
  }
  const boots = after.resets - before.resets;
  if (boots < 1) return `a new boot, and the TPM's resets went from ${before.resets} to ${after.resets}`;
  const next = found.findIndex((tick) => tick?.boot === before.tick.boot);
  if (next >= 0) return diskWentBack(before.tick, found.slice(0, next), found.slice(next));
  const onDisk = found.at(-1);
  if (onDisk === undefined) return EMPTY_DISK;
  return boots < 2 ? `a new boot found boot ${onDisk.boot} on the disk, not ${before.tick.boot}` : undefined;
}

/** @param older what boots found before this one's last tick was on the disk, and `since` from then on */
function diskWentBack({ boot, n }: Tick, older: Found, since: Found): string | undefined {
  const over = new Set(older.map((tick) => tick?.boot));
  for (const tick of since) {
    if (tick === undefined) return EMPTY_DISK;
    if (tick.boot === boot && tick.n < n) return `a new boot found ${tick.n} on the disk after ${n}`;
    if (over.has(tick.boot)) return `a new boot found boot ${tick.boot} on the disk, which was over before ${boot}`;
  }
  return undefined;
}
const EMPTY_DISK = 'a new boot found an empty disk';

/** The guest's host restarts it, or lets it go on after its disk was full, as its operator would: the fence allows it to its owner only. */
export function startAgain(holder: RealSide): string | undefined {
  if (domainsOf(holder, '--state-running').length > 0) return undefined;
  const [paused] = domainsOf(holder, '--state-paused');
  if (paused !== undefined) {
    holder.csp.host.virsh('resume', paused);
    return 'resumed by hand';
  }
  const [off] = domainsOf(holder, '--state-shutoff');
  if (off === undefined) return undefined;
  holder.csp.host.virsh('start', off);
  return 'started by hand';
}

/** For a guest that runs on without its TPM. */
export function powerOff(holder: RealSide): void {
  for (const name of domainsOf(holder, '--state-running')) holder.csp.host.virsh('destroy', name);
}

/** Of the source's console and the holder's, which may be one. */
export const foundOn = (left: string, holders: string): Found =>
  (statSync(left).ino === statSync(holders).ino ? [holders] : [left, holders]).flatMap(ticksFoundOnDisk);

/** The VM runs here and nowhere else, and is what it was. `left`: what the source's console said. */
export async function checkGuest({ a, b, uuid }: World, holder: RealSide, before: Life, left: string): Promise<Life> {
  await eventually(
    'the VM at exactly one side',
    () => (runningAt([a, b]).join() === holder.plan.domain ? true : undefined),
    SOON_MS,
  );
  const after = await lifeAt(holder, uuid, before.resets, left);
  const back = wentBack(before, after, foundOn(left, consoleOf(holder, uuid)));
  if (back !== undefined) throw new Error(back);
  return after;
}

/** Looks until there is nothing left: retiring goes on after the last word. */
async function untilEmpty(what: string, look: () => Promise<readonly string[]> | readonly string[]): Promise<void> {
  let left: readonly string[] = [];
  try {
    await eventually(
      what,
      async () => {
        left = await look();
        return left.length === 0 ? true : undefined;
      },
      SOON_MS,
    );
  } catch (cause) {
    throw new Error(`${what}, but there is: ${left.join('; ')}`, { cause });
  }
}

/** But room for an intent that was then never answered: its lease goes by its own date. */
async function butUnanswered({ database, plan }: RealSide, left: readonly string[]): Promise<readonly string[]> {
  if (!left.some((what) => LEASE.test(what))) return left;
  const offered = await rowsOf<{ readonly epoch: number }>(
    database,
    `select epoch from events where type = 'MigrationOffered' and publisher = $1`,
    [plan.domain],
  );
  return left.filter((what) => {
    const [, epoch] = LEASE.exec(what) ?? [];
    return epoch === undefined || offered.some((one) => one.epoch === Number(epoch));
  });
}
const LEASE = /^lease .*-(\d+)\.json$/;

type Key = { readonly vm?: string; readonly state: string; readonly kind: string };
const keysAt = async ({ api }: RealSide, vm: string): Promise<readonly Key[]> =>
  must(await api.get<{ readonly items: readonly Key[] }>('/v1/keys')).items.filter((key) => key.vm === vm);

export async function checkTraces({ vm }: Pick<World, 'vm'>, holder: RealSide, other: RealSide): Promise<void> {
  await untilEmpty(`nothing of the VM at ${other.plan.domain}`, async () => butUnanswered(other, await leftAt(other)));
  await untilEmpty(`nothing of a move at ${holder.plan.domain}`, () => butUnanswered(holder, strayAt(holder.csp)));
  await untilEmpty(`every key destroyed at ${other.plan.domain}`, async () =>
    (await keysAt(other, vm)).filter(({ state }) => state !== 'destroyed').map(({ kind, state }) => `${kind} ${state}`),
  );
  const live = (await keysAt(holder, vm)).filter(({ state }) => state !== 'destroyed');
  const secrets = holder.csp.host.virsh('secret-list').split('\n').filter(Boolean);
  if (live.length !== 2 || live.some(({ state }) => state !== 'active') || secrets.length !== 2)
    throw new Error(
      `${holder.plan.domain} has ${secrets.length} secrets and keys ${JSON.stringify(live.map(({ kind, state }) => [kind, state]))}, not two active ones`,
    );
}

export async function checkLedgers(world: Pick<World, 'a' | 'b'>): Promise<void> {
  await ledgersAgree(world);
  for (const { database, plan } of [world.a, world.b]) {
    const shut = await rowsOf(database, 'select publisher from ledgers where frozen is not null or quarantined_at is not null');
    const proofs = await rowsOf(database, 'select code from proofs');
    if (shut.length + proofs.length > 0) throw new Error(`${plan.domain} accuses: ${JSON.stringify([...shut, ...proofs])}`);
  }
}

/** `carnet-audit verify` over both live ledgers. What it has not seen acknowledged yet it says so; that ends by itself. */
export async function audit({ federation }: Pick<World, 'federation'>): Promise<void> {
  const { code, a, b, pki } = federation;
  const args = [
    join(code.root, 'apps', 'audit', 'src', 'main.ts'),
    'verify',
    ...[a, b].flatMap((csp) => ['--context', csp.context('auditor')]),
    '--root',
    join(pki, 'root.pem'),
    '--crls',
    join(pki, 'crls'),
    '--json',
  ];
  await eventually(
    'an audit that passes',
    () => {
      const { status, stdout, stderr } = spawnSync(code.node, args, {
        encoding: 'utf8',
        timeout: AUDIT_MS_MAX,
        maxBuffer: 268_435_456,
      });
      if (status === 0) return true;
      const verdict = /"verdict": ?"([^"]*)"/.exec(stdout)?.[1] ?? stderr.slice(0, 500);
      if (!verdict.startsWith('unsettled')) throw new Error(`the auditor ended with ${status}: ${verdict}`);
      return undefined;
    },
    SOON_MS,
  );
}
