import { ended } from '@carnet/saga';
import { moves, Violation } from './moves.ts';
import { endKey, initialWorld, type Rules, type World, worldKey } from './world.ts';

export type Found =
  | { readonly ok: true; readonly states: number; readonly ends: readonly World[]; readonly pairs: ReadonlySet<string> }
  | { readonly ok: false; readonly violation: string; readonly path: readonly string[]; readonly states: number };

type Visit = { readonly from: number; readonly label: string };

/** Every reachable world, breadth first: so a violation comes with a shortest story. */
export function search(rules: Rules, starts: readonly World[] = [initialWorld]): Found {
  const numbers = new Map(starts.map((start, number) => [worldKey(start), number]));
  const worlds: (World | undefined)[] = [...starts];
  const visits: Visit[] = starts.map((start) => ({ from: -1, label: `from ${endKey(start)}` }));
  const driven: (readonly [to: number, from: number])[] = [];
  const ends: number[] = [];
  const classes = new Map<string, World>();
  const pairs = new Set<string>();
  const fail = (at: number, violation: string): Found => ({
    ok: false,
    violation,
    path: story(visits, at),
    states: visits.length,
  });
  for (let at = 0; at < worlds.length; at++) {
    const world = worlds[at];
    if (!world) continue;
    worlds[at] = undefined; // explored: only its number is needed from here on
    if (world.a.host.runs && world.b.host.runs) return fail(at, 'both run');
    if (isEnd(world)) {
      ends.push(at);
      keepRichest(classes, world);
    }
    for (const m of world.a.journey.migrations) pairs.add(`${m.sourcePhase} × ${m.targetPhase}`);
    try {
      for (const move of moves(world, rules)) {
        const key = worldKey(move.world);
        let to = numbers.get(key);
        if (to === undefined) {
          to = worlds.push(move.world) - 1;
          numbers.set(key, to);
          visits.push({ from: at, label: move.label });
        }
        if (!move.free) driven.push([to, at]);
      }
    } catch (error) {
      if (error instanceof Violation) return fail(at, error.message);
      throw error;
    }
  }
  const stuck = firstWithoutEnd(visits.length, driven, ends);
  return stuck === undefined
    ? { ok: true, states: visits.length, ends: [...classes.values()], pairs }
    : fail(stuck, 'no way to an end');
}

/** Over on both ledgers, for both brokers, and the VM runs on exactly one host. */
function isEnd({ a, b }: World): boolean {
  const over = [a, b].every((broker) => broker.journey.migrations.every(ended) && broker.published === broker.ledger.length);
  return over && a.received === b.ledger.length && b.received === a.ledger.length && a.host.runs !== b.host.runs;
}

/** Of each class the end with the most commands that may still come late. */
function keepRichest(classes: Map<string, World>, world: World): void {
  const key = endKey(world);
  const held = classes.get(key);
  const stale = (w: World): number => w.a.issued.length + w.b.issued.length;
  if (!held || stale(world) > stale(held)) classes.set(key, world);
}

/** Backwards from the ends over what the system does by itself: a world that is not met needs somebody's choice, or is lost. */
function firstWithoutEnd(
  count: number,
  driven: readonly (readonly [to: number, from: number])[],
  ends: readonly number[],
): number | undefined {
  const before = Array.from({ length: count }, (): number[] => []);
  for (const [to, from] of driven) before[to]?.push(from);
  const good = new Uint8Array(count);
  const queue = [...ends];
  for (const end of ends) good[end] = 1;
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const earlier of before[next] ?? []) {
      if (good[earlier]) continue;
      good[earlier] = 1;
      queue.push(earlier);
    }
  }
  const stuck = good.indexOf(0);
  return stuck === -1 ? undefined : stuck;
}

function story(visits: readonly Visit[], last: number): readonly string[] {
  const labels: string[] = [];
  for (let visit = visits[last]; visit; visit = visits[visit.from]) labels.unshift(visit.label);
  return labels;
}
