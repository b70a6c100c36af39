import { useMemo } from 'react';
import type { MigrationDetail } from '../live/rows.ts';
import { timeOfDay } from '../parts/amounts.ts';
import { sentenceOf } from '../signatures/signature-mark.tsx';
import { axisTicks, custodySpans, type LaneEvent, type Lanes, layoutLanes, type Mark } from './lanes.ts';
import type { ShownEvent } from './shown-event.ts';
import { useWidth } from './use-width.ts';

/** Heights from the top, pixels: slanted names, source lane, axis with custody strip, target lane, slanted names. */
const SOURCE_Y = 118;
const CUSTODY_Y = 158;
const TARGET_Y = 206;
const HEIGHT = 314;
const TICK_APART = 92;
const NAMES_WIDTH = 116;

export interface LanesViewProps {
  readonly detail: MigrationDetail;
  readonly events: readonly ShownEvent[];
  readonly opened: string | undefined;
  readonly onOpen: (digest: string | undefined) => void;
}

/** Two lanes, source above target, on one time axis; between them who could open the image. */
export function LanesView({ detail, events, opened, onOpen }: LanesViewProps) {
  const { ref, width } = useWidth();
  const laneEvents = useMemo(() => events.map(({ entry }): LaneEvent => entry), [events]);
  const lanes = useMemo(() => layoutLanes(laneEvents, detail.source, width), [laneEvents, detail.source, width]);
  const byDigest = new Map(events.map((event) => [event.entry.digest, event]));
  return (
    <div className="carnet-lanes">
      <svg width={NAMES_WIDTH} height={HEIGHT} aria-hidden="true" className="carnet-lane-names">
        <LaneName y={SOURCE_Y} title={detail.source} side="source" />
        <LaneName y={CUSTODY_Y} title="can open" />
        <LaneName y={TARGET_Y} title={detail.target} side="target" />
      </svg>
      <div ref={ref} className="carnet-lanes-scroll">
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot stand for a drawing */}
        <svg width={lanes.width} height={HEIGHT} role="group" aria-label="Events of both sides on one time axis">
          <line x1={0} x2={lanes.width} y1={SOURCE_Y} y2={SOURCE_Y} className="carnet-lane" />
          <line x1={0} x2={lanes.width} y1={TARGET_Y} y2={TARGET_Y} className="carnet-lane" />
          <Custody detail={detail} lanes={lanes} />
          {axisTicks(laneEvents, lanes, TICK_APART).map(({ x, time }) => (
            <text key={x} x={x} y={CUSTODY_Y + 23} className="carnet-tick">
              {timeOfDay(time)}
            </text>
          ))}
          {lanes.marks.map((mark) => {
            const event = byDigest.get(mark.digest);
            return (
              event && <EventMark key={mark.digest} mark={mark} event={event} isOpen={opened === mark.digest} onOpen={onOpen} />
            );
          })}
        </svg>
      </div>
    </div>
  );
}

function LaneName({ y, title, side }: { readonly y: number; readonly title: string; readonly side?: 'source' | 'target' }) {
  if (side === undefined) {
    return (
      <text x={0} y={y + 4} className="carnet-lane-side">
        {title}
      </text>
    );
  }
  return (
    <>
      <text x={0} y={y - 2} className="carnet-lane-title">
        {title}
      </text>
      <text x={0} y={y + 13} className="carnet-lane-side">
        {side}
      </text>
    </>
  );
}

/** Characters of a strip's name are about this wide, pixels: a name that does not fit is left to the hover. */
const CHARACTER_WIDTH = 7;

function Custody({ detail, lanes }: { readonly detail: MigrationDetail; readonly lanes: Lanes }) {
  return custodySpans(detail.custody, lanes).map(({ from, to, domains }) => {
    const who = domains.length === 0 ? 'nobody' : domains.join(' and ');
    return (
      <g key={from}>
        <rect
          x={from}
          y={CUSTODY_Y - 8}
          width={to - from}
          height={16}
          rx={3}
          className={`carnet-custody-${custodian(detail, domains)}`}
        >
          <title>{`${who} could open the image`}</title>
        </rect>
        {who.length * CHARACTER_WIDTH < to - from && (
          <text x={(from + to) / 2} y={CUSTODY_Y + 4} className="carnet-custody-name">
            {who}
          </text>
        )}
      </g>
    );
  });
}

function custodian({ source }: MigrationDetail, domains: readonly string[]): 'nobody' | 'both' | 'source' | 'target' {
  if (domains.length === 0) return 'nobody';
  if (domains.length > 1) return 'both';
  return domains[0] === source ? 'source' : 'target';
}

/** Drawn inside a circle of radius 9: tick, cross, question mark. */
const GLYPHS = {
  valid: 'M-4 0.500 -1 3.500 4-3',
  invalid: 'M-3-3 3 3M3-3-3 3',
  'unknown-key': 'M-2-2a2.200 2.200 0 1 1 3 2Q0 0.700 0 2M0 4.200v0.300',
} as const;

interface EventMarkProps {
  readonly mark: Mark;
  readonly event: ShownEvent;
  readonly isOpen: boolean;
  readonly onOpen: LanesViewProps['onOpen'];
}

function EventMark({ mark, event: { entry, verdict }, isOpen, onOpen }: EventMarkProps) {
  const up = mark.lane === 'source';
  const toggle = (): void => onOpen(isOpen ? undefined : entry.digest);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a button element cannot stand inside SVG
    <g
      transform={`translate(${mark.x} ${up ? SOURCE_Y : TARGET_Y})`}
      className={`carnet-mark carnet-mark-${verdict.kind}${isOpen ? ' carnet-mark-open' : ''}${entry.voidCode === undefined ? '' : ' carnet-mark-void'}`}
      role="button"
      tabIndex={0}
      aria-pressed={isOpen}
      aria-label={`${entry.type} by ${entry.publisher} at ${timeOfDay(entry.time)}. ${sentenceOf(verdict)}`}
      onClick={toggle}
      onKeyDown={(key) => {
        if (key.key !== 'Enter' && key.key !== ' ') return;
        key.preventDefault();
        toggle();
      }}
    >
      <title>{`${entry.type}, ${timeOfDay(entry.time)}. ${sentenceOf(verdict)}`}</title>
      <circle r={9} />
      <path d={GLYPHS[verdict.kind]} />
      <text transform={up ? 'translate(4 -14) rotate(-40)' : 'translate(4 20) rotate(40)'}>{entry.type}</text>
    </g>
  );
}
