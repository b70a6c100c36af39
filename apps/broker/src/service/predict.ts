import type { Event, EventType, MigrationMode } from '@carnet/events';

/** One finished move with a peer, as its ledgers tell it. Each span lies between two events of one publisher: no clock is compared with another. */
export interface Move {
  readonly mode: MigrationMode;
  /** Ciphertext that was sealed: disks, and memory where it travelled too. */
  readonly bytes: number;
  /** Sealing, sending and verifying: the part that grows with the bytes. By the source's clock. */
  readonly movingMs: number;
  /** The rest of the guest's standing still: stopping or saving it, handing the keys over, starting it. */
  readonly aroundMs: number;
}

/** What is to be moved. */
export interface Load {
  readonly mode: MigrationMode;
  readonly diskBytes: number;
  readonly memoryBytes: number;
}

export interface Rate {
  readonly basis: 'measured' | 'assumed';
  readonly bytesPerSecond: number;
  readonly aroundSeconds: number;
  /** Finished moves that were measured, and the largest of them: a prediction far beyond it is a guess. */
  readonly moves: number;
  readonly largestBytes: number;
}

/** With a peer that nothing was moved with: sealing, sending and verifying one after the other over a gigabit link. */
export const ASSUMED_BYTES_PER_SECOND = 50 * 1_048_576;
/** A guest that shuts down or is saved, keys that are handed over and tried, a guest that boots. */
export const ASSUMED_AROUND_SECONDS = 10;

/** `undefined`: not finished, or its times make no sense (a clock was set, or a peer invents them). */
export function moveOf(events: readonly Event[]): Move | undefined {
  const fact = <T extends EventType>(type: T): Extract<Event, { readonly type: T }> | undefined =>
    events.find((one): one is Extract<Event, { readonly type: T }> => one.type === type);
  const [intent, ready, quiesced, released, started] = [
    fact('MigrationIntended'),
    fact('TargetReady'),
    fact('SourceQuiesced'),
    fact('KeyReleased'),
    fact('VmStarted'),
  ];
  const sealed = events.filter((one) => one.type === 'ImageSealed').find((one) => one.data.final);
  if (!intent || !ready || !quiesced || !sealed || !released || !started) return undefined;
  const movingMs = Date.parse(released.time) - Date.parse(quiesced.time);
  const aroundMs = Date.parse(started.time) - Date.parse(ready.time) - movingMs;
  const bytes = sealed.data.artifacts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (!(movingMs > 0 && aroundMs >= 0 && bytes > 0)) return undefined;
  return { mode: intent.data.mode, bytes, movingMs, aroundMs };
}

/** Bytes of all moves over their time, so that large ones count for more; the rest is the median, of the same mode where there is one. */
export function rateOf(moves: readonly Move[], mode: MigrationMode): Rate {
  if (moves.length === 0)
    return {
      basis: 'assumed',
      bytesPerSecond: ASSUMED_BYTES_PER_SECOND,
      aroundSeconds: ASSUMED_AROUND_SECONDS,
      moves: 0,
      largestBytes: 0,
    };
  const sum = (of: (move: Move) => number): number => moves.reduce((total, move) => total + of(move), 0);
  const alike = moves.filter((move) => move.mode === mode);
  return {
    basis: 'measured',
    bytesPerSecond: Math.max(1, Math.round((sum(({ bytes }) => bytes) * 1_000) / sum(({ movingMs }) => movingMs))),
    aroundSeconds: median((alike.length > 0 ? alike : moves).map(({ aroundMs }) => aroundMs)) / 1_000,
    moves: moves.length,
    largestBytes: Math.max(...moves.map(({ bytes }) => bytes)),
  };
}

/** Seconds that a running guest stands still, to a tenth. */
export const stopSecondsOf = ({ diskBytes, memoryBytes }: Load, { bytesPerSecond, aroundSeconds }: Rate): number =>
  Math.round(((diskBytes + memoryBytes) / bytesPerSecond + aroundSeconds) * 10) / 10;

/** The middle one of a list that is not empty; of two, the greater: a stop that ends earlier surprises nobody. */
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
