/** What the drawing needs of an event. */
export interface LaneEvent {
  readonly digest: string;
  readonly publisher: string;
  readonly time: string;
}

export interface Mark {
  readonly digest: string;
  /** Pixels from the left edge of the lanes. */
  readonly x: number;
  readonly lane: 'source' | 'target';
}

export interface Lanes {
  readonly marks: readonly Mark[];
  /** Needed width in pixels: at least what was offered, more when the marks need it. */
  readonly width: number;
  /** Where a time falls on the axis; `undefined` outside the first and last event. */
  readonly xOf: (time: string) => number | undefined;
}

/** Marks closer than this would overlap with their slanted names, pixels. */
export const MARK_GAP = 26;
/** Room before the first mark, and after the last for its slanted name, pixels. */
export const PAD_LEFT = 38;
export const PAD_RIGHT = 118;

/**
 * One time axis for both lanes. Time runs to the right and is never reversed, but events of one moment are kept apart: each
 * span gets the least gap, and what is left is shared out by duration. So the axis is exact in order and only roughly in scale.
 */
export function layoutLanes(events: readonly LaneEvent[], source: string, offered: number): Lanes {
  const ordered = events.toSorted((a, b) => (a.time === b.time ? 0 : a.time < b.time ? -1 : 1));
  const times = ordered.map((e) => Date.parse(e.time));
  const spans = times.slice(1).map((time, i) => time - (times[i] ?? time));
  const total = spans.reduce((sum, span) => sum + span, 0);
  const least = spans.length * MARK_GAP;
  const free = Math.max(0, offered - PAD_LEFT - PAD_RIGHT - least);
  const xs = ordered.length === 0 ? [] : [PAD_LEFT];
  for (const span of spans)
    xs.push((xs.at(-1) ?? PAD_LEFT) + MARK_GAP + (total === 0 ? free / spans.length : (free * span) / total));
  const marks = ordered.map(
    ({ digest, publisher }, i): Mark => ({ digest, x: xs[i] ?? PAD_LEFT, lane: publisher === source ? 'source' : 'target' }),
  );
  return {
    marks,
    width: Math.max(offered, PAD_LEFT + PAD_RIGHT + least),
    xOf: (time) => interpolate(times, xs, Date.parse(time)),
  };
}

function interpolate(times: readonly number[], xs: readonly number[], at: number): number | undefined {
  const after = times.findIndex((time) => time >= at);
  const [time, x] = [times[after], xs[after]];
  if (time === undefined || x === undefined || Number.isNaN(at)) return undefined;
  if (time === at) return x;
  const [timeBefore, xBefore] = [times[after - 1], xs[after - 1]];
  return timeBefore === undefined || xBefore === undefined
    ? undefined
    : xBefore + ((x - xBefore) * (at - timeBefore)) / (time - timeBefore);
}

export interface AxisTick {
  readonly x: number;
  readonly time: string;
}

/** Ticks under marks, from the left, never closer than `apart` pixels. */
export function axisTicks(events: readonly LaneEvent[], lanes: Lanes, apart: number): readonly AxisTick[] {
  const timeOf = new Map(events.map((e) => [e.digest, e.time]));
  const ticks: AxisTick[] = [];
  for (const { digest, x } of lanes.marks) {
    const last = ticks.at(-1);
    const time = timeOf.get(digest);
    if (time !== undefined && (last === undefined || (x - last.x >= apart && last.time !== time))) ticks.push({ x, time });
  }
  return ticks;
}

export interface CustodySpan {
  readonly from: number;
  readonly to: number;
  /** Who could open the image; none between the release and the import of a crossed hand-over. */
  readonly domains: readonly string[];
}

/** Custody of the key as strips under the axis; the last one lasts to the end of what is drawn. */
export function custodySpans(
  custody: readonly { readonly at: string; readonly domains: readonly string[] }[],
  lanes: Lanes,
): readonly CustodySpan[] {
  const end = lanes.marks.at(-1)?.x ?? PAD_LEFT;
  const starts = custody.map(({ at }) => lanes.xOf(at) ?? PAD_LEFT);
  return custody
    .map(({ domains }, i): CustodySpan => ({ from: starts[i] ?? PAD_LEFT, to: starts[i + 1] ?? end, domains }))
    .filter(({ from, to }) => to > from);
}
